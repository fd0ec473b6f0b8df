# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors

# Warnings and sanitizers for our own code. -Werror comes from the presets, so that a user's newer
# compiler cannot break a user's build.
add_library(shorthaul_flags INTERFACE)
target_compile_definitions(shorthaul_flags INTERFACE _GNU_SOURCE)
target_compile_options(shorthaul_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-align
  -Wpointer-arith -Wwrite-strings -Wvla -Wconversion -Wno-sign-conversion -Wformat=2 -Wundef
  -Wimplicit-fallthrough -Wno-gnu-zero-variadic-macro-arguments)
if(SHORTHAUL_SANITIZE)
  add_compile_options(-fsanitize=${SHORTHAUL_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SHORTHAUL_SANITIZE})
endif()
