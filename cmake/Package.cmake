# cpack -G DEB in the build folder: javm-batch (programs, pages, completions, prebuilt guests, the demo), libjavm0, libjavm-dev,
# and javm-batch-mpi where there is MPI.
# What each needs is found in the files themselves (dpkg-shlibdeps).
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME javm)
set(CPACK_PACKAGE_VENDOR "the javm-batch developers")
set(CPACK_PACKAGE_CONTACT "the javm-batch developers <javm-batch@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL programs library development)
if(TARGET javm-batch-mpi)
  list(APPEND CPACK_COMPONENTS_ALL mpi)
endif()
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_PROGRAMS_PACKAGE_NAME javm-batch)
set(CPACK_DEBIAN_PROGRAMS_PACKAGE_SUGGESTS "clang-19, lld-19")
set(CPACK_COMPONENT_PROGRAMS_DESCRIPTION "run many sandboxed, metered programs on all cores
javm-batch reads jobs, runs each as a metered invocation of a sandboxed
program, and streams one result per job. With javm-cc and javm-link, which
make such programs, javm-vectors, which checks an engine, and javm-nubd and
javm-nub, which run such programs for tools in other languages.")

set(CPACK_DEBIAN_MPI_PACKAGE_NAME javm-batch-mpi)
set(CPACK_DEBIAN_MPI_PACKAGE_DEPENDS "javm-batch (= ${PROJECT_VERSION}), openmpi-bin")
set(CPACK_COMPONENT_MPI_DESCRIPTION "run many sandboxed, metered programs on many machines
What javm-batch --mpi needs.")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libjavm0)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "virtual machine for sandboxed, metered programs (library)
Loads images, runs them with gas in an interpreter or as compiled code, and
schedules them on all cores.")
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/debian/triggers "activate-noawait ldconfig\n")
file(CHMOD ${CMAKE_CURRENT_BINARY_DIR}/debian/triggers PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_BINARY_DIR}/debian/triggers)

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libjavm-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "libjavm0 (= ${PROJECT_VERSION}), libck-dev, libsodium-dev, libhwloc-dev, libelf-dev, libzstd-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "virtual machine for sandboxed, metered programs (headers)
Headers, the static library and the pkg-config file javm.")
include(CPack)
