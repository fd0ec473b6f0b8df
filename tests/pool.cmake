# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# The pool as the tests see it: static, so that internal functions can be reached.
add_library(pool_test STATIC lib/pool_test.c)
target_include_directories(pool_test PUBLIC lib ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(pool_test PUBLIC shorthaul::pool shorthaul_flags PkgConfig::CMOCKA)

haul_test(test_word SOURCES unit/test_word.c LIBS pool_test LABELS unit)
haul_test(test_geometry SOURCES unit/test_geometry.c LIBS pool_test LABELS unit)
haul_test(test_pool SOURCES unit/test_pool.c LIBS pool_test LABELS unit)
haul_test(test_forged SOURCES unit/test_forged.c LIBS pool_test LABELS unit)
