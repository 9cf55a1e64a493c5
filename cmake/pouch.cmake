# Build settings and the three functions that every CMakeLists.txt uses.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Debug)
endif()

find_program(POUCH_CCACHE ccache)
if(POUCH_CCACHE)
  # Objects do not depend on where the build directory is: several share one cache.
  set(pouch_launcher ${CMAKE_COMMAND} -E env CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${POUCH_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${pouch_launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${pouch_launcher})
endif()
find_program(POUCH_MOLD mold)
if(POUCH_MOLD AND NOT POUCH_SANITIZE)
  add_link_options(-fuse-ld=mold)
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL REQUIRED)

# Warnings for our code only; generated third-party code does not link this.
add_library(pouch_options INTERFACE)
target_include_directories(pouch_options INTERFACE ${CMAKE_SOURCE_DIR})
target_link_libraries(pouch_options INTERFACE Threads::Threads)
# In C++ missing-field-initializers flags designated initialisers, whose point is to name only some fields.
target_compile_options(pouch_options INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wcast-align -Wformat=2 -fno-strict-aliasing
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual -Wconversion -Wsign-conversion
    -Wno-missing-field-initializers>)
if(NOT CMAKE_BUILD_TYPE STREQUAL "Debug" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND
   CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC bug 105651: with -O2 and up, std::string::replace and operator+ with literals are said to overlap.
  target_compile_options(pouch_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>)
endif()
target_compile_definitions(pouch_options INTERFACE _GNU_SOURCE POUCH_VERSION="${POUCH_VERSION}"
  $<$<BOOL:${POUCH_FAULTS}>:POUCH_FAULTS=1>)
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  # -O1 keeps tests quick and stack traces readable.
  target_compile_options(pouch_options INTERFACE -O1 -g1)
endif()
if(POUCH_SANITIZE)
  # No recovery: a test with undefined behaviour fails instead of only printing.
  add_compile_options(-fsanitize=${POUCH_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${POUCH_SANITIZE})
endif()

if(POUCH_FUZZ)
  # GCC is who warns; clang differs, and must not fail here only.
  add_compile_options(-fsanitize=fuzzer-no-link)
  target_compile_options(pouch_options INTERFACE -Wno-error)
endif()

# pouch_library(name SOURCES ... DEPS ...): one static library per folder; it becomes part of libpouch.so.
function(pouch_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC pouch_options ${ARG_DEPS})
endfunction()

# All unit tests of the build; the sanitizer builds make nothing else.
add_custom_target(pouch_unit_tests)

# pouch_test(name SOURCES ... DEPS ... [LABELS ...]): one GoogleTest binary per folder.
function(pouch_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT POUCH_TESTS)
    return()
  endif()
  find_package(GTest REQUIRED)
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  add_dependencies(pouch_unit_tests ${name})
  add_test(NAME ${name} COMMAND ${name})
  if(ARG_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}")
  else()
    set_tests_properties(${name} PROPERTIES LABELS unit)
  endif()
endfunction()

# pouch_program(name SOURCES ... DEPS ...): an executable in build/bin.
function(pouch_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE pouch_options ${ARG_DEPS})
endfunction()
