# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# Servers and clients of stock gRPC in other languages against ours. A language whose gRPC is not
# installed is passed over.
add_executable(test_interop interop/test_interop.c)
target_link_libraries(test_interop PRIVATE
  transport_test peer_test shorthaul_flags PkgConfig::CMOCKA)

# haul_interop(NAME PEER command... WAYS way... [ENVIRONMENT variable=value...])
# Under ThreadSanitizer only the threads of the C side are looked at, which other tests do.
function(haul_interop NAME)
  cmake_parse_arguments(ARG "" "" "PEER;WAYS;ENVIRONMENT" ${ARGN})
  foreach(way IN LISTS ARG_WAYS)
    set(test interop_${NAME}_${way})
    add_test(NAME ${test} COMMAND test_interop ${way} ${ARG_PEER})
    set_tests_properties(${test} PROPERTIES
      TIMEOUT 240 LABELS interop ENVIRONMENT "${ARG_ENVIRONMENT}")
  endforeach()
endfunction()

find_program(PROTOC protoc)
set(interop_protos ${PROJECT_SOURCE_DIR}/proto/shorthaul/v1/payload.proto
                   ${PROJECT_SOURCE_DIR}/proto/shorthaul/v1/lane.proto
                   ${CMAKE_CURRENT_SOURCE_DIR}/proto/transport_test.proto)
set(interop_proto_path -I ${PROJECT_SOURCE_DIR}/proto -I ${CMAKE_CURRENT_SOURCE_DIR}/proto)

# Python. The interpreter is the system's, whose packages python3-grpcio and python3-protobuf are.
find_program(GRPC_PYTHON_PLUGIN grpc_python_plugin)
set(HAUL_PYTHON /usr/bin/python3 CACHE FILEPATH "a Python that has grpcio and protobuf")
execute_process(COMMAND ${HAUL_PYTHON} -c "import grpc, google.protobuf"
                RESULT_VARIABLE python_lacks OUTPUT_QUIET ERROR_QUIET)
if(PROTOC AND GRPC_PYTHON_PLUGIN AND python_lacks EQUAL 0)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/interop-python)
  add_custom_command(
    OUTPUT ${out}/transport_test_pb2_grpc.py
    COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
    COMMAND ${PROTOC} ${interop_proto_path} --python_out=${out} --grpc_out=${out}
            --plugin=protoc-gen-grpc=${GRPC_PYTHON_PLUGIN} ${interop_protos}
    DEPENDS ${interop_protos}
    VERBATIM)
  add_custom_target(interop_python ALL DEPENDS ${out}/transport_test_pb2_grpc.py)
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
