# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# What `cmake --install` puts where, and how other projects find it: find_package(shorthaul) with the
# components pool and transport, or pkg-config with shorthaul-pool and shorthaul-transport.
#
# The two components are export sets of their own, because the pool needs nothing but libc and a
# project that uses it alone must not have to have gRPC.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/shorthaul)
set(package_templates ${PROJECT_SOURCE_DIR}/cmake/package)
set(version_map ${package_templates}/shorthaul.map)

# haul_install_library(NAME pool|transport DESCRIPTION text HEADERS file...
#                      [ALSO target...] [REQUIRES module...] [REQUIRES_PRIVATE module...])
# ALSO: targets that the library is built from and that CMake wants in its export set.
# REQUIRES, REQUIRES_PRIVATE: pkg-config modules, for a user of the headers and for a static link.
function(haul_install_library)
  cmake_parse_arguments(ARG "" "NAME;DESCRIPTION" "HEADERS;ALSO;REQUIRES;REQUIRES_PRIVATE" ${ARGN})
  set(target shorthaul_${ARG_NAME})
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME shorthaul-${ARG_NAME} EXPORT_NAME ${ARG_NAME}
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  if(BUILD_SHARED_LIBS)
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${version_map})
    target_link_options(${target} PRIVATE -Wl,--version-script=${version_map})
  endif()

  install(TARGETS ${target} ${ARG_ALSO} EXPORT shorthaul-${ARG_NAME})
  install(EXPORT shorthaul-${ARG_NAME} NAMESPACE shorthaul:: DESTINATION ${package_dir})
  install(FILES ${ARG_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/shorthaul)

  set(PC_NAME ${ARG_NAME})
  set(PC_DESCRIPTION "${ARG_DESCRIPTION}")
  # Relative, so that an installed tree may be moved, and installed with another --prefix.
  cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX
             BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig
             OUTPUT_VARIABLE PC_PREFIX_FROM_HERE)
  string(JOIN " " PC_REQUIRES ${ARG_REQUIRES})
  string(JOIN " " PC_REQUIRES_PRIVATE ${ARG_REQUIRES_PRIVATE})
  set(pc ${PROJECT_BINARY_DIR}/shorthaul-${ARG_NAME}.pc)
  configure_file(${package_templates}/shorthaul.pc.in ${pc} @ONLY)
  install(FILES ${pc} DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()

set(public_headers ${PROJECT_SOURCE_DIR}/include/shorthaul)
haul_install_library(
  NAME pool
  DESCRIPTION "Pools of shared-memory buffers between processes of one machine"
  HEADERS ${public_headers}/pool.h ${public_headers}/status.h
  ALSO shorthaul_flags)

if(SHORTHAUL_TRANSPORT)
  haul_install_library(
    NAME transport
    DESCRIPTION "gRPC for C with payloads that travel through shared memory"
    HEADERS ${public_headers}/transport.h ${public_headers}/credentials.h ${public_headers}/message.h
            ${public_headers}/stream.h ${public_headers}/queue.h ${public_headers}/cancel.h
    ALSO shorthaul_proto
    REQUIRES shorthaul-pool libprotobuf-c grpc
    REQUIRES_PRIVATE libcrypto)
  install(DIRECTORY ${PROJECT_BINARY_DIR}/src/transport/gen-shorthaul_proto/shorthaul
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.pb-c.h")
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/proto/shorthaul
          DESTINATION ${CMAKE_INSTALL_DATADIR}/shorthaul/proto FILES_MATCHING PATTERN "*.proto")
  set_target_properties(shorthauld shorthaul_cli PROPERTIES
    INSTALL_RPATH $<$<BOOL:${BUILD_SHARED_LIBS}>:$ORIGIN/../${CMAKE_INSTALL_LIBDIR}>)
  install(TARGETS shorthauld shorthaul_cli)
endif()

configure_package_config_file(${package_templates}/shorthaul-config.cmake.in
  ${PROJECT_BINARY_DIR}/shorthaul-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/shorthaul-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/shorthaul-config.cmake
              ${PROJECT_BINARY_DIR}/shorthaul-config-version.cmake
        DESTINATION ${package_dir})
