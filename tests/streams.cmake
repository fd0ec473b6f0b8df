# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# Calls that stream: a service of their own, in one process and in several.
haul_protobuf_c(TARGET stream_test_proto ROOT ${CMAKE_CURRENT_SOURCE_DIR}/proto
                PROTOS stream_test.proto)
add_library(stream_test STATIC lib/stream_service.c lib/stream_test.c)
target_link_libraries(stream_test
  PUBLIC transport_test stream_test_proto
  PRIVATE shorthaul_flags PkgConfig::CMOCKA)

foreach(name IN ITEMS queue stream stream_cancel stream_life stream_server stream_plain)
  haul_test(test_transport_${name} SOURCES process/test_transport_${name}.c LIBS stream_test
            LABELS process)
endforeach()

haul_test(test_transport_stream_creds SOURCES process/test_transport_stream_creds.c
          LIBS stream_test creds_test LABELS process)

add_executable(stream_peer process/stream_peer.c)
target_link_libraries(stream_peer PRIVATE stream_test shorthaul_flags PkgConfig::CMOCKA)
haul_test(test_transport_stream_death SOURCES process/test_transport_stream_death.c
          LIBS stream_test peer_test LABELS process)
target_compile_definitions(test_transport_stream_death
  PRIVATE STREAM_PEER="$<TARGET_FILE:stream_peer>")
add_dependencies(test_transport_stream_death stream_peer)

# One list over all kinds of call, sizes and events; all of it: scripts/conformance.sh.
haul_test(conformance
  SOURCES conformance/conformance.c conformance/calls.c conformance/scene.c
          conformance/service.c
  LIBS stream_test peer_test LABELS conformance slow TIMEOUT 300)

# And with threads that look for a while before they sleep, and everything inline over gRPC.
add_test(NAME conformance_polling COMMAND conformance)
set_tests_properties(conformance_polling PROPERTIES
  LABELS "conformance;slow" TIMEOUT 300
  ENVIRONMENT "CONF_BUSY_POLL_NS=50000;CONF_NO_DATA=1")

include(interop.cmake)
