/* SPDX-License-Identifier: Apache-2.0
 * SPDX-FileCopyrightText: The Shorthaul authors */

/*
 * How ThreadSanitizer runs the tests that use gRPC: gRPC is not built with it, so what it does in its
 * own calls of libc cannot be judged. A source of each of these tests, for from a library the linker
 * would take it only where something else in the same file is used.
 */

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "ignore_noninstrumented_modules=1";
}
#endif
#endif
