# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# The pool as the tests see it: static, so that internal functions can be reached.
add_library(pool_test STATIC lib/pool_test.c)
target_include_directories(pool_test PUBLIC lib ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(pool_test PUBLIC shorthaul::pool shorthaul_flags PkgConfig::CMOCKA)

haul_test(test_word SOURCES unit/test_word.c LIBS pool_test LABELS unit)
haul_test(test_geometry SOURCES unit/test_geometry.c LIBS pool_test LABELS unit)
haul_test(test_alloc SOURCES unit/test_alloc.c LIBS pool_test LABELS unit)
haul_test(test_pool SOURCES unit/test_pool.c LIBS pool_test LABELS unit)
haul_test(test_forged SOURCES unit/test_forged.c LIBS pool_test LABELS unit)
haul_test(test_retiring SOURCES unit/test_retiring.c LIBS pool_test LABELS unit TIMEOUT 60)
target_link_options(test_retiring PRIVATE -Wl,--wrap=haul__wait -Wl,--wrap=haul__nap_ns)
haul_test(test_threads SOURCES unit/test_threads.c LIBS pool_test LABELS unit TIMEOUT 300)
haul_test(test_refuse SOURCES unit/test_refuse.c LIBS pool_test LABELS unit)
haul_test(test_gifts SOURCES unit/test_gifts.c LIBS pool_test LABELS unit TIMEOUT 60)
target_link_options(test_gifts PRIVATE -Wl,--wrap=haul__wait)

# Processes that the tests start, and tell what to do.
add_executable(pool_peer process/pool_peer.c)
target_link_libraries(pool_peer PRIVATE shorthaul::pool shorthaul_flags)
add_executable(pool_peer_faults process/pool_peer.c)
target_link_libraries(pool_peer_faults PRIVATE shorthaul_pool_faults shorthaul_flags)

add_library(peer_test STATIC lib/peer.c)
target_link_libraries(peer_test PUBLIC pool_test)

haul_test(test_processes SOURCES process/test_processes.c LIBS peer_test LABELS process)
target_compile_definitions(test_processes PRIVATE POOL_PEER="$<TARGET_FILE:pool_peer>")
add_dependencies(test_processes pool_peer)

haul_test(test_faults SOURCES fault/test_faults.c LIBS peer_test LABELS fault TIMEOUT 300)
target_compile_definitions(test_faults PRIVATE POOL_PEER_FAULTS="$<TARGET_FILE:pool_peer_faults>")
add_dependencies(test_faults pool_peer_faults)

haul_test(test_control SOURCES unit/test_control.c LIBS pool_test LABELS unit)
haul_test(test_full_shm SOURCES process/test_full_shm.c LIBS pool_test LABELS process)
set_tests_properties(test_full_shm PROPERTIES SKIP_RETURN_CODE 77)

# docs/shm-layout.md says what src/pool/layout.h says.
add_executable(layout_tables tools/layout_tables.c)
target_include_directories(layout_tables PRIVATE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(layout_tables PRIVATE shorthaul::pool shorthaul_flags)
add_test(NAME doc_layout
  COMMAND ${PROJECT_SOURCE_DIR}/scripts/layout-doc.sh --check $<TARGET_FILE:layout_tables>)
set_tests_properties(doc_layout PROPERTIES LABELS doc)

haul_test(test_names SOURCES unit/test_names.c LIBS pool_test LABELS unit)
haul_test(test_sharing SOURCES process/test_sharing.c LIBS peer_test LABELS process)
target_compile_definitions(test_sharing PRIVATE POOL_PEER="$<TARGET_FILE:pool_peer>")
add_dependencies(test_sharing pool_peer)

haul_test(test_loans SOURCES process/test_loans.c LIBS peer_test LABELS process)
target_compile_definitions(test_loans PRIVATE POOL_PEER="$<TARGET_FILE:pool_peer>")
add_dependencies(test_loans pool_peer)
