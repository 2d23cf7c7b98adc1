# What --version says of a build: javm_facts(SOURCE) for the file that holds it. The hash is made anew when a source changes.
function(javm_facts source)
  set(hash ${PROJECT_BINARY_DIR}/loaders/source_hash.inc)
  file(GLOB_RECURSE hashed CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/*.h)
  foreach(folder caps cache vm sched loaders batch rpc)
    file(GLOB_RECURSE found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.[ch] ${PROJECT_SOURCE_DIR}/${folder}/*.cpp
      ${PROJECT_SOURCE_DIR}/${folder}/*.in ${PROJECT_SOURCE_DIR}/${folder}/*.html
      ${PROJECT_SOURCE_DIR}/${folder}/CMakeLists.txt)
    list(APPEND hashed ${found})
  endforeach()
  file(GLOB found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/* ${PROJECT_SOURCE_DIR}/CMakeLists.txt)
  list(APPEND hashed ${found})
  add_custom_command(OUTPUT ${hash} VERBATIM
    COMMAND sh ${PROJECT_SOURCE_DIR}/scripts/source-hash.sh ${hash}
    DEPENDS ${hashed} ${PROJECT_SOURCE_DIR}/scripts/source-hash.sh)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" type)
  set(flags "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${type}}")
  if(JAVM_SANITIZE)
    string(APPEND flags " -fsanitize=${JAVM_SANITIZE}")
  endif()
  string(STRIP "${flags}" flags)
  # A path would make two builds of one.
  string(REGEX REPLACE "[^ ]*/[^ ]*" "" flags "${flags}")
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${hash} INCLUDE_DIRECTORIES ${PROJECT_BINARY_DIR}
    COMPILE_DEFINITIONS "BUILD_COMPILER=\"${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}\";BUILD_FLAGS=\"${flags}\"")
endfunction()
