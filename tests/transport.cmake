# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# The transport: its parts, and servers and channels in one process and in several.
haul_protobuf_c(TARGET transport_test_proto ROOT ${CMAKE_CURRENT_SOURCE_DIR}/proto
                PROTOS transport_test.proto)
add_library(transport_test STATIC
  lib/data_scene.c lib/many_calls.c lib/raw_exchange.c lib/raw_trunk.c lib/raw_trunk_server.c
  lib/transport_process.c lib/transport_raw.c lib/transport_raw_server.c
  lib/transport_service.c lib/transport_test.c)
target_sources(transport_test INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/lib/tsan_options.c)
target_include_directories(transport_test PUBLIC . lib ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(transport_test
  PUBLIC pool_test shorthaul::transport transport_test_proto Threads::Threads
  PRIVATE shorthaul_flags)

foreach(name IN ITEMS keyed lead pack parts unpack)
  haul_test(test_transport_${name} SOURCES unit/test_transport_${name}.c LIBS transport_test
            LABELS unit)
endforeach()
haul_test(test_transport_bulk SOURCES unit/test_transport_bulk.c LIBS transport_test LABELS unit)
target_link_options(test_transport_bulk PRIVATE -Wl,--wrap=pthread_create)
haul_test(test_letter SOURCES unit/test_letter.c LIBS pool_test shorthaul::transport LABELS unit)
target_include_directories(test_letter PRIVATE ${PROJECT_SOURCE_DIR}/src)
foreach(name IN ITEMS badinput call cancel cancel_race flood frozen hostile keepalive keys lane life
                      limits listen loan loan_forged loan_own metadata path death trunk trunk_end
                      trunk_death trunk_hostile trunk_server trunk_stop)
  haul_test(test_transport_${name} SOURCES process/test_transport_${name}.c LIBS transport_test
            LABELS process)
endforeach()

foreach(name IN ITEMS data data_hostile direct)
  haul_test(test_transport_${name} SOURCES process/test_transport_${name}.c LIBS transport_test
            LABELS process)
endforeach()
haul_test(test_transport_unread SOURCES process/test_transport_unread.c lib/h2.c
          LIBS transport_test LABELS process)
haul_test(test_transport_polling SOURCES process/test_transport_polling.c LIBS transport_test
          LABELS process)
target_link_options(test_transport_polling PRIVATE
  -Wl,--wrap=grpc_completion_queue_next -Wl,--wrap=grpc_completion_queue_pluck)
foreach(name IN ITEMS badinput flood)
  target_sources(test_transport_${name} PRIVATE lib/h2.c lib/h2_scene.c limits/limits.c)
endforeach()

haul_test(test_transport_stop SOURCES process/test_transport_stop.c LIBS transport_test
          LABELS process)
target_link_options(test_transport_stop PRIVATE
  -Wl,--wrap=grpc_server_request_registered_call -Wl,--wrap=grpc_server_shutdown_and_notify)

haul_test(test_transport_locks SOURCES process/test_transport_locks.c LIBS transport_test
          LABELS process)
foreach(name IN ITEMS
        pthread_mutex_lock pthread_mutex_unlock pthread_cond_wait pthread_cond_timedwait
        pthread_cond_signal pthread_cond_broadcast mmap munmap madvise shm_open pread close recv send sendmsg
        shutdown syscall
        grpc_call_start_batch grpc_call_unref grpc_completion_queue_next
        grpc_completion_queue_pluck grpc_channel_create_registered_call
        grpc_channel_check_connectivity_state grpc_server_request_registered_call)
  target_link_options(test_transport_locks PRIVATE -Wl,--wrap=${name})
endforeach()

pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
add_library(creds_test STATIC lib/certs.c lib/creds_test.c)
target_link_libraries(creds_test
  PUBLIC pool_test shorthaul::transport
  PRIVATE shorthaul_flags PkgConfig::CRYPTO)
foreach(name IN ITEMS creds creds_args)
  haul_test(test_transport_${name} SOURCES process/test_transport_${name}.c
            LIBS transport_test creds_test LABELS process)
endforeach()
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
haul_test(test_vectors SOURCES unit/test_vectors.c LIBS transport_test PkgConfig::JANSSON
          LABELS unit)
target_compile_definitions(test_vectors
  PRIVATE HAUL_VECTORS="${CMAKE_CURRENT_SOURCE_DIR}/vectors")

add_executable(transport_peer process/transport_peer.c)
target_link_libraries(transport_peer PRIVATE transport_test shorthaul_flags)
target_compile_definitions(transport_test
  PRIVATE TRANSPORT_PEER="$<TARGET_FILE:transport_peer>")
add_dependencies(test_transport_death transport_peer)
add_dependencies(test_transport_data_hostile transport_peer)
add_dependencies(test_transport_direct transport_peer)
add_dependencies(test_transport_keepalive transport_peer)
add_dependencies(test_transport_frozen transport_peer)
add_dependencies(test_transport_trunk_death transport_peer)
add_dependencies(test_transport_loan transport_peer)
add_dependencies(test_transport_loan_own transport_peer)

# Whole messages in buffers.
haul_protobuf_c(TARGET shapes_proto ROOT ${CMAKE_CURRENT_SOURCE_DIR}/proto
                PROTOS shapes.proto shapes3.proto)
haul_test(test_transport_message SOURCES unit/test_transport_message.c lib/message_example.c
          LIBS transport_test shapes_proto LABELS unit)
target_link_options(test_transport_message PRIVATE -Wl,--wrap=malloc)
if(NOT SHORTHAUL_SANITIZE MATCHES "thread") # which would see the bytes change under the parser
  haul_fuzz(message LIBS shorthaul::transport shapes_proto Threads::Threads)
endif()

# The libraries' own calls of malloc() are only to be caught where they are linked statically.
if(NOT BUILD_SHARED_LIBS)
  haul_test(test_transport_allocs SOURCES process/test_transport_allocs.c LIBS transport_test
            LABELS process)
  target_link_options(test_transport_allocs
    PRIVATE -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc)
endif()

# A sanitizer's heap grows by itself.
if(NOT SHORTHAUL_SANITIZE)
  haul_test(test_transport_growth SOURCES process/test_transport_growth.c LIBS transport_test
            LABELS process)
endif()

# The message paths of both sides, without a connection. ThreadSanitizer would see gRPC's threads only.
if(NOT SHORTHAUL_SANITIZE MATCHES "thread")
  haul_fuzz(request LIBS transport_test_proto shorthaul::transport Threads::Threads
            OPTIONS -Wl,--wrap=grpc_call_start_batch,--wrap=grpc_call_unref)
  haul_fuzz(answer LIBS transport_test_proto shorthaul::transport Threads::Threads)
  haul_fuzz(letter LIBS shorthaul::transport)
  target_sources(fuzz_request PRIVATE fuzz/fuzz_wire.c)
  target_sources(fuzz_answer PRIVATE fuzz/fuzz_wire.c)
endif()
