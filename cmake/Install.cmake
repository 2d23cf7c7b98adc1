# cmake --install: libraries, headers, pkg-config, manual pages, completions, and what guests are built with.
file(STRINGS include/javm/version.h version_line REGEX "JAVM_VERSION \"")
if(NOT version_line MATCHES "\"${PROJECT_VERSION}\"")
  message(FATAL_ERROR "include/javm/version.h does not say ${PROJECT_VERSION}")
endif()
# Relative, so that --prefix at install time and a moved folder both work.
file(RELATIVE_PATH JAVM_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" JAVM_PC_PREFIX "${JAVM_PC_PREFIX}")
configure_file(cmake/javm.pc.in javm.pc @ONLY)
install(TARGETS javm_static javm_shared
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/javm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/javm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(DIRECTORY docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
install(DIRECTORY guest/include guest/runtime DESTINATION ${CMAKE_INSTALL_DATADIR}/javm/guest)
install(FILES guest/guest.ld DESTINATION ${CMAKE_INSTALL_DATADIR}/javm/guest)
install(DIRECTORY guest/prebuilt DESTINATION ${CMAKE_INSTALL_DATADIR}/javm FILES_MATCHING PATTERN "*.jimg" PATTERN "*.jar")
install(FILES scripts/completions/javm-batch.bash RENAME javm-batch
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES scripts/completions/_javm-batch DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES scripts/completions/javm-batch.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
