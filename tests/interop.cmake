# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# Servers and clients of stock gRPC in other languages against ours. A language whose gRPC is not
# installed is passed over. None of it is built with ThreadSanitizer, and the threads of our side
# are looked at by other tests.
if(SHORTHAUL_SANITIZE MATCHES thread)
  return()
endif()

add_library(interop STATIC interop/interop.c)
target_include_directories(interop PUBLIC interop)
target_link_libraries(interop PUBLIC stream_test peer_test PRIVATE shorthaul_flags)
foreach(name IN ITEMS interop interop_streams)
  add_executable(test_${name} interop/test_${name}.c)
  target_link_libraries(test_${name} PRIVATE interop shorthaul_flags PkgConfig::CMOCKA)
endforeach()

# haul_interop(NAME PEER command... WAYS way... [ENVIRONMENT variable=value...])
function(haul_interop NAME)
  cmake_parse_arguments(ARG "" "" "PEER;WAYS;ENVIRONMENT" ${ARGN})
  foreach(way IN LISTS ARG_WAYS)
    foreach(kind IN ITEMS interop interop_streams)
      set(test ${kind}_${NAME}_${way})
      add_test(NAME ${test} COMMAND test_${kind} ${way} ${ARG_PEER})
      set_tests_properties(${test} PROPERTIES
        TIMEOUT 240 LABELS "interop;slow" ENVIRONMENT "${ARG_ENVIRONMENT}")
    endforeach()
  endforeach()
endfunction()

find_program(PROTOC protoc)
set(interop_protos ${PROJECT_SOURCE_DIR}/proto/shorthaul/v1/payload.proto
                   ${PROJECT_SOURCE_DIR}/proto/shorthaul/v1/lane.proto
                   ${CMAKE_CURRENT_SOURCE_DIR}/proto/transport_test.proto
                   ${CMAKE_CURRENT_SOURCE_DIR}/proto/stream_test.proto)
set(interop_proto_path -I ${PROJECT_SOURCE_DIR}/proto -I ${CMAKE_CURRENT_SOURCE_DIR}/proto)

# C++, which also knows the pool's C library.
enable_language(CXX)
find_library(HAUL_GRPCPP grpc++) # pkg-config takes a minute over it
find_library(HAUL_PROTOBUF protobuf)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin)
if(PROTOC AND GRPC_CPP_PLUGIN AND HAUL_GRPCPP AND HAUL_PROTOBUF)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/interop-cpp)
  set(sources)
  foreach(stem IN ITEMS shorthaul/v1/payload shorthaul/v1/lane transport_test stream_test)
    list(APPEND sources ${out}/${stem}.pb.cc ${out}/${stem}.grpc.pb.cc)
  endforeach()
  add_custom_command(
    OUTPUT ${sources}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
    COMMAND ${PROTOC} ${interop_proto_path} --cpp_out=${out} --grpc_out=${out}
            --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN} ${interop_protos}
    DEPENDS ${interop_protos}
    VERBATIM)
  add_library(interop_cpp_proto OBJECT ${sources})
  target_include_directories(interop_cpp_proto SYSTEM PUBLIC ${out})
  target_compile_features(interop_cpp_proto PUBLIC cxx_std_17)
  target_link_libraries(interop_cpp_proto PUBLIC ${HAUL_GRPCPP} ${HAUL_PROTOBUF} PkgConfig::GRPC)
  add_executable(interop_cpp_peer
    interop/cpp_peer.cc interop/cpp_calls.cc interop/cpp_payload.cc interop/cpp_streams.cc)
  target_compile_options(interop_cpp_peer PRIVATE -Wall -Wextra -Wshadow)
  target_link_libraries(interop_cpp_peer PRIVATE interop_cpp_proto shorthaul::pool)
  haul_interop(cpp WAYS inline participant PEER $<TARGET_FILE:interop_cpp_peer>)
else()
  message(STATUS "no gRPC for C++: its tests are left out")
endif()

# Python. The interpreter is the system's, whose packages python3-grpcio and python3-protobuf are.
find_program(GRPC_PYTHON_PLUGIN grpc_python_plugin)
set(HAUL_PYTHON /usr/bin/python3 CACHE FILEPATH "a Python that has grpcio and protobuf")
execute_process(COMMAND ${HAUL_PYTHON} -c "import grpc, google.protobuf"
                RESULT_VARIABLE python_lacks OUTPUT_QUIET ERROR_QUIET)
if(PROTOC AND GRPC_PYTHON_PLUGIN AND python_lacks EQUAL 0)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/interop-python)
  add_custom_command(
    OUTPUT ${out}/stream_test_pb2_grpc.py
    COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
    COMMAND ${PROTOC} ${interop_proto_path} --python_out=${out} --grpc_out=${out}
            --plugin=protoc-gen-grpc=${GRPC_PYTHON_PLUGIN} ${interop_protos}
    DEPENDS ${interop_protos}
    VERBATIM)
  add_custom_target(interop_python ALL DEPENDS ${out}/stream_test_pb2_grpc.py)
  set(python_environment
    PYTHONPATH=${out}:${PROJECT_SOURCE_DIR}/examples/python PYTHONDONTWRITEBYTECODE=1)
  add_test(NAME interop_python_vectors
    COMMAND ${HAUL_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/interop/python_vectors.py
            ${CMAKE_CURRENT_SOURCE_DIR}/vectors)
  set_tests_properties(interop_python_vectors PROPERTIES
    TIMEOUT 60 LABELS interop ENVIRONMENT "${python_environment}")
  add_test(NAME interop_python_pool
    COMMAND ${HAUL_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/interop/python_pool.py)
  set_tests_properties(interop_python_pool PROPERTIES TIMEOUT 60 LABELS interop
    ENVIRONMENT "${python_environment};SHORTHAUL=$<TARGET_FILE:shorthaul_cli>")
  haul_interop(python WAYS inline reader participant
    PEER ${HAUL_PYTHON} ${CMAKE_CURRENT_SOURCE_DIR}/interop/python_peer.py
    ENVIRONMENT ${python_environment})
else()
  message(STATUS "no gRPC for Python: its tests are left out")
endif()

# Node, with packages from npm, of the versions that interop/node/package.json says. They are
# fetched once, when the build is configured; where that cannot be done there are no tests of it.
find_program(HAUL_NODE node)
find_program(HAUL_NPM npm)
set(node_package ${CMAKE_CURRENT_SOURCE_DIR}/interop/node/package.json)
set(node_out ${CMAKE_CURRENT_BINARY_DIR}/interop-node)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${node_package})
file(SHA256 ${node_package} node_wanted)
if(HAUL_NODE AND HAUL_NPM AND NOT EXISTS ${node_out}/${node_wanted})
  file(REMOVE_RECURSE ${node_out})
  file(COPY ${node_package} DESTINATION ${node_out})
  execute_process(COMMAND ${HAUL_NPM} install --prefix ${node_out} --no-package-lock --no-audit
                          --no-fund --loglevel=error
                  WORKING_DIRECTORY ${node_out} TIMEOUT 120 OUTPUT_QUIET
                  RESULT_VARIABLE npm_failed)
  if(npm_failed EQUAL 0)
    file(TOUCH ${node_out}/${node_wanted})
  endif()
endif()
if(HAUL_NODE AND EXISTS ${node_out}/${node_wanted})
  haul_interop(node WAYS inline
    PEER ${HAUL_NODE} ${CMAKE_CURRENT_SOURCE_DIR}/interop/node/peer.js
    ENVIRONMENT NODE_PATH=${node_out}/node_modules
                HAUL_PROTOS=${CMAKE_CURRENT_SOURCE_DIR}/proto:${PROJECT_SOURCE_DIR}/proto)
else()
  message(STATUS "no gRPC for Node: its tests are left out")
endif()
