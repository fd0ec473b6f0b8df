# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# Hostile neighbours, fuzz targets, limits and leaks.

# ---- Fuzz targets ----
#
# With the preset "fuzz" they are libFuzzer programs (scripts/fuzz.sh); otherwise plain ones. Either
# way their corpora are tests. Mappings get fences (fuzz/guard.h), so the pool is linked statically.
add_library(fuzz_support STATIC fuzz/fuzz_pool.c fuzz/guard.c fuzz/scribble.c)
target_include_directories(fuzz_support PUBLIC fuzz ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(fuzz_support PUBLIC shorthaul::pool shorthaul_flags)

# haul_fuzz(NAME LIBS target...): fuzz/fuzz_NAME.c, and a test that replays fuzz/corpus/NAME.
function(haul_fuzz NAME)
  cmake_parse_arguments(ARG "" "" "LIBS;OPTIONS" ${ARGN})
  set(target fuzz_${NAME})
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${NAME})
  add_executable(${target} fuzz/fuzz_${NAME}.c)
  target_link_libraries(${target} PRIVATE ${ARG_LIBS} fuzz_support)
  target_link_options(${target} PRIVATE -Wl,--wrap=mmap,--wrap=munmap ${ARG_OPTIONS})
  if(SHORTHAUL_SANITIZE MATCHES "fuzzer")
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_test(NAME ${target} COMMAND ${target} -runs=0 ${corpus})
  else()
    target_sources(${target} PRIVATE fuzz/replay.c)
    add_test(NAME ${target} COMMAND ${target} ${corpus})
  endif()
  set_tests_properties(${target} PROPERTIES TIMEOUT 120 LABELS fuzz)
endfunction()

haul_fuzz(layout)
haul_fuzz(key)
haul_fuzz(control LIBS shorthaul_pool_faults
  OPTIONS -Wl,--wrap=haul__wait,--wrap=haul__now_ns)
target_sources(fuzz_control PRIVATE fuzz/control_calls.c)

# ---- A hostile neighbour ----

add_executable(neighbour hostile/neighbour.c)
target_link_libraries(neighbour PRIVATE fuzz_support)
haul_test(test_hostile SOURCES hostile/test_hostile.c LIBS pool_test fuzz_support
  LABELS process TIMEOUT 300)
target_compile_definitions(test_hostile PRIVATE NEIGHBOUR="$<TARGET_FILE:neighbour>")
add_dependencies(test_hostile neighbour)

haul_test(test_forgery SOURCES hostile/test_forgery.c LIBS pool_test LABELS unit)

# ---- Limits and leaks ----

add_library(limits_support STATIC limits/limits.c)
target_include_directories(limits_support PUBLIC limits)
target_link_libraries(limits_support PUBLIC pool_test)

foreach(test IN ITEMS test_rlimits test_memcg test_giant test_many test_leaks)
  haul_test(${test} SOURCES limits/${test}.c LIBS limits_support LABELS limits TIMEOUT 300)
  set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77)
endforeach()
target_link_options(test_giant PRIVATE -Wl,--wrap=fallocate)
