# Warnings, sanitizers and the four kinds of target that the folders declare.
#   javm_module(NAME SOURCES...)         object code of one folder, part of libjavm
#   javm_test(NAME SOURCES... [LIBS..])  a Criterion test, run by ctest
#   javm_program(NAME SOURCES...)        an installed program on top of libjavm
#   javm_fuzz(NAME SOURCE)               a libFuzzer target (clang) or a corpus replay (gcc), always run by ctest on its corpus

add_library(javm_flags INTERFACE)
target_compile_options(javm_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
    $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>)
target_include_directories(javm_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR})
target_compile_definitions(javm_flags INTERFACE _GNU_SOURCE)

set(JAVM_SANITIZE "" CACHE STRING "address,undefined or thread; empty for none")
if(JAVM_SANITIZE)
  target_compile_options(javm_flags INTERFACE -fsanitize=${JAVM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(javm_flags INTERFACE -fsanitize=${JAVM_SANITIZE})
endif()
option(JAVM_FUZZ "build the fuzz targets with libFuzzer (clang)" OFF)
if(JAVM_FUZZ)
  target_compile_options(javm_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

function(javm_module name)
  add_library(javm_${name} OBJECT ${ARGN})
  set_target_properties(javm_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(javm_${name} PUBLIC javm_flags)
  set_property(GLOBAL APPEND PROPERTY JAVM_MODULES javm_${name})
endfunction()

function(javm_program name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE javm_static javm_alloc)
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()

# javm_test(name SOURCES a.c b.c LIBS x LABELS stress)
function(javm_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(test_${name} ${T_SOURCES} ${T_UNPARSED_ARGUMENTS})
  target_link_libraries(test_${name} PRIVATE javm_static ${T_LIBS} PkgConfig::CRITERION)
  add_test(NAME ${name} COMMAND test_${name} --verbose=0)
  set_tests_properties(${name} PROPERTIES LABELS "${T_LABELS}")
  if(T_TIMEOUT)
    set_tests_properties(${name} PROPERTIES TIMEOUT ${T_TIMEOUT})
  endif()
endfunction()

# javm_fuzz(name source.c [LIBS ...]): LLVMFuzzerTestOneInput; corpus in tests/fuzz/corpus/<name>/
function(javm_fuzz name source)
  cmake_parse_arguments(F "" "" "LIBS" ${ARGN})
  add_executable(fuzz_${name} ${source})
  target_link_libraries(fuzz_${name} PRIVATE javm_static ${F_LIBS})
  if(JAVM_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
    add_test(NAME corpus_${name} COMMAND fuzz_${name} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
    set_tests_properties(corpus_${name} PROPERTIES LABELS fuzz)
  endif()
  set_property(GLOBAL APPEND PROPERTY JAVM_FUZZERS fuzz_${name})
endfunction()
