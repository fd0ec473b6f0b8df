# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# The sidecar and the command line: their parts, and both as a user runs them.
haul_test(test_config SOURCES unit/test_config.c LIBS shorthaul_config LABELS unit)
haul_test(test_cli_units SOURCES unit/test_cli_units.c LIBS shorthaul_tools LABELS unit)
haul_test(test_cli_show SOURCES unit/test_cli_show.c LABELS unit
          LIBS shorthaul_show shorthaul_tools shorthaul_proto_admin)

add_executable(e2e_notify_sink e2e/notify_sink.c)
target_link_libraries(e2e_notify_sink PRIVATE shorthaul_flags)
add_executable(e2e_health_watch e2e/health_watch.c)
target_link_libraries(e2e_health_watch PRIVATE
  shorthaul_flags shorthaul::transport shorthaul_proto_health)

# haul_e2e(NAME) runs tests/e2e/NAME.sh with the programs in its environment. 77 means: this machine
# does not allow the test.
set(HAUL_E2E_ENVIRONMENT
  SHORTHAUL=$<TARGET_FILE:shorthaul_cli>
  SHORTHAULD=$<TARGET_FILE:shorthauld>
  NOTIFY_SINK=$<TARGET_FILE:e2e_notify_sink>
  HEALTH_WATCH=$<TARGET_FILE:e2e_health_watch>
  PACKAGED_CONFIG=${PROJECT_SOURCE_DIR}/packaging/shorthauld.yaml)

function(haul_e2e NAME)
  add_test(NAME e2e_${NAME} COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/e2e/${NAME}.sh)
  set_tests_properties(e2e_${NAME} PROPERTIES
    TIMEOUT 240
    LABELS e2e
    SKIP_RETURN_CODE 77
    ENVIRONMENT "${HAUL_E2E_ENVIRONMENT}")
endfunction()

haul_e2e(sidecar_config)
haul_e2e(cli_pool)
haul_e2e(cli_payload)
haul_e2e(cli_names)
# gRPC is not built with ThreadSanitizer, which so does not see how its threads hand things over and
# finds races that are none.
if(NOT SHORTHAUL_SANITIZE MATCHES thread)
  haul_e2e(sidecar_start)
  haul_e2e(sidecar_again)
  haul_e2e(sidecar_deaths)
  haul_e2e(sidecar_sweep)
  haul_e2e(sidecar_default)
  haul_e2e(cli_usage)
endif()
