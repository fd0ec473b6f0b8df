# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# haul_protobuf_c(TARGET name ROOT folder PROTOS path...)
#
# An object library with the protobuf-c code of PROTOS, which are paths below ROOT and import each
# other, and shorthaul/v1, by those paths. Headers are included by the same paths:
# shorthaul/v1/payload.pb-c.h. Whoever links the target gets its objects and its headers; the code
# of shorthaul/v1 itself comes with shorthaul::transport.
find_program(PROTOC_C protoc-c REQUIRED)
# What is linked to generated code and to the transport is linked to these, in every folder.
set_target_properties(PkgConfig::GRPC PkgConfig::PROTOBUF_C PROPERTIES IMPORTED_GLOBAL TRUE)

function(haul_protobuf_c)
  cmake_parse_arguments(ARG "" "TARGET;ROOT" "PROTOS" ${ARGN})
  set(ours ${PROJECT_SOURCE_DIR}/proto)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/gen-${ARG_TARGET})
  set(inputs ${ARG_PROTOS})
  list(TRANSFORM inputs PREPEND ${ARG_ROOT}/)
  # A header's layout depends on the messages it imports, so any change makes everything anew.
  list(APPEND inputs ${ours}/shorthaul/v1/payload.proto)
  list(REMOVE_DUPLICATES inputs)
  set(sources)
  set(headers)
  foreach(proto IN LISTS ARG_PROTOS)
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    add_custom_command(
      OUTPUT ${out}/${stem}.pb-c.c ${out}/${stem}.pb-c.h
      COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
      COMMAND ${PROTOC_C} --c_out=${out} -I ${ARG_ROOT} -I ${ours} ${ARG_ROOT}/${proto}
      DEPENDS ${inputs}
      COMMENT "protoc-c ${proto}"
      VERBATIM)
    list(APPEND sources ${out}/${stem}.pb-c.c)
    list(APPEND headers ${out}/${stem}.pb-c.h)
  endforeach()
  add_library(${ARG_TARGET} OBJECT ${sources} ${headers})
  target_include_directories(${ARG_TARGET} SYSTEM PUBLIC $<BUILD_INTERFACE:${out}>)
  target_link_libraries(${ARG_TARGET} PUBLIC PkgConfig::PROTOBUF_C)
  if(NOT ARG_TARGET STREQUAL "shorthaul_proto")
    # Headers only, and made before ours are compiled: the objects of an object library reach none
    # but those who link it themselves.
    target_link_libraries(${ARG_TARGET} PUBLIC shorthaul_proto)
  endif()
  set_target_properties(${ARG_TARGET} PROPERTIES C_VISIBILITY_PRESET default C_CLANG_TIDY "")
endfunction()
