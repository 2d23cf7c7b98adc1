# cmake --install: libraries, headers, pkg-config, manual pages, completions, and what guests are built with.
file(STRINGS include/javm/version.h version_line REGEX "JAVM_VERSION \"")
if(NOT version_line MATCHES "\"${PROJECT_VERSION}\"")
  message(FATAL_ERROR "include/javm/version.h does not say ${PROJECT_VERSION}")
endif()
# Relative, so that --prefix at install time and a moved folder both work.
file(RELATIVE_PATH JAVM_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" JAVM_PC_PREFIX "${JAVM_PC_PREFIX}")
configure_file(cmake/javm.pc.in javm.pc @ONLY)

# Three components, which become packages (Package.cmake).
install(TARGETS javm_static ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(TARGETS javm_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development)
install(DIRECTORY include/javm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development FILES_MATCHING PATTERN "*.h")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/javm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
foreach(pair programs:javm-batch library:libjavm0 development:libjavm-dev)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 component)
  list(GET pair 1 package)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} RENAME copyright COMPONENT ${component})
endforeach()
install(DIRECTORY docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
install(DIRECTORY guest/include guest/runtime DESTINATION ${CMAKE_INSTALL_DATADIR}/javm/guest)
install(FILES guest/guest.ld DESTINATION ${CMAKE_INSTALL_DATADIR}/javm/guest)
install(DIRECTORY guest/prebuilt DESTINATION ${CMAKE_INSTALL_DATADIR}/javm FILES_MATCHING PATTERN "*.jimg")
install(FILES guest/demo/jobs.ndjson.zst DESTINATION ${CMAKE_INSTALL_DATADIR}/javm/demo)
foreach(program javm-batch javm-vectors javm-link javm-cc)
  install(FILES scripts/completions/${program}.bash RENAME ${program}
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  foreach(folder site-functions vendor-completions) # zsh looks into the one below /usr/local, into the other below /usr
    install(FILES scripts/completions/_${program} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/${folder})
  endforeach()
  install(FILES scripts/completions/${program}.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endforeach()
