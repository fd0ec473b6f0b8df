# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# The transport: its parts, and servers and channels in one process and in several.
haul_protobuf_c(TARGET transport_test_proto ROOT ${CMAKE_CURRENT_SOURCE_DIR}/proto
                PROTOS transport_test.proto)
add_library(transport_test STATIC lib/transport_test.c lib/transport_service.c lib/transport_raw.c
            lib/transport_raw_server.c)
target_include_directories(transport_test PUBLIC lib ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(transport_test
  PUBLIC pool_test shorthaul::transport transport_test_proto Threads::Threads
  PRIVATE shorthaul_flags)

haul_test(test_transport_parts SOURCES unit/test_transport_parts.c LIBS transport_test
          LABELS unit)
haul_test(test_transport_call SOURCES process/test_transport_call.c LIBS transport_test
          LABELS process)
haul_test(test_transport_hostile SOURCES process/test_transport_hostile.c LIBS transport_test
          LABELS process)
haul_test(test_transport_life SOURCES process/test_transport_life.c LIBS transport_test
          LABELS process)
haul_test(test_transport_listen SOURCES process/test_transport_listen.c LIBS transport_test
          LABELS process)

add_executable(transport_peer process/transport_peer.c)
target_link_libraries(transport_peer PRIVATE transport_test shorthaul_flags)
haul_test(test_transport_death SOURCES process/test_transport_death.c LIBS transport_test
          LABELS process)
target_compile_definitions(test_transport_death
  PRIVATE TRANSPORT_PEER="$<TARGET_FILE:transport_peer>")
add_dependencies(test_transport_death transport_peer)
