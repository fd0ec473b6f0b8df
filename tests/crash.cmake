# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# Death at every instruction, and by the thousand. Sanitizers put code of their own between ours, and
# do not like to be stepped through.
if(NOT SHORTHAUL_SANITIZE AND CMAKE_SYSTEM_PROCESSOR STREQUAL x86_64)
  add_executable(crash_sweep
    crash/crash_sweep.c crash/named.c crash/operations.c crash/reading.c crash/stage.c crash/stepper.c
    crash/sweep.c crash/verify.c)
  target_include_directories(crash_sweep PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(crash_sweep PRIVATE shorthaul::pool shorthaul_flags)
  # Calls into libc take the same way the first time and every time.
  target_link_options(crash_sweep PRIVATE -Wl,-z,now)
  add_test(NAME crash_sweep COMMAND crash_sweep --every 12 --outside 64)
  set_tests_properties(crash_sweep PROPERTIES LABELS crash TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()

add_executable(storm stress/storm.c stress/killer.c stress/worker.c stress/kept.c
  stress/content.c)
target_link_libraries(storm PRIVATE shorthaul::pool shorthaul_flags)
add_test(NAME storm COMMAND storm 300 200)
set_tests_properties(storm PROPERTIES LABELS stress TIMEOUT 300)
