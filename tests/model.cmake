# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# The model of a buffer's life (docs/model.md). It is not compiled with the rest, so one build type
# is enough: sanitizers see nothing in it.
find_program(SHORTHAUL_SPIN spin)
find_program(SHORTHAUL_GCC gcc)
if(SHORTHAUL_SPIN AND SHORTHAUL_GCC AND NOT SHORTHAUL_SANITIZE)
  foreach(CHECK recover recover-object recover-measured recover-name life readers gift loan
          hints object mapping measured name)
    add_test(NAME model_${CHECK} COMMAND ${PROJECT_SOURCE_DIR}/scripts/model.sh ${CHECK})
    set_tests_properties(model_${CHECK} PROPERTIES LABELS model TIMEOUT 600)
  endforeach()
  add_test(NAME model_mutants COMMAND ${PROJECT_SOURCE_DIR}/scripts/model.sh --mutants)
  set_tests_properties(model_mutants PROPERTIES LABELS model TIMEOUT 600)
endif()
