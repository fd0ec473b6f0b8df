# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
"""Atomic operations on mapped memory, which Python lacks: GCC's libatomic has them as functions.

All are sequentially consistent. Stateless; any thread.
"""

import ctypes
import platform
import time

from haul_layout import PoolError

SEQ_CST = 5
SYS_FUTEX = {"x86_64": 202, "aarch64": 98}.get(platform.machine())
FUTEX_WAIT, FUTEX_WAKE = 0, 1
NAP_SECONDS = 0.002  # between two looks where nobody can be woken


class Atomics:
    """Sequentially consistent operations on words of one size, in mapped memory."""

    def __init__(self, library, n_bytes, ctype):
        self._ctype = ctype

        def function(name, result, *arguments):
            found = getattr(library, f"__atomic_{name}_{n_bytes}")
            found.restype = result
            found.argtypes = [ctypes.c_void_p, *arguments, ctypes.c_int]
            return found

        self._load = function("load", ctype)
        self._store = function("store", None, ctype)
        self._swap = function("compare_exchange", ctypes.c_bool, ctypes.c_void_p, ctype,
                              ctypes.c_int)
        self._fetch = {name: function("fetch_" + name, ctype, ctype)
                       for name in ("add", "or", "and")}

    def load(self, address):
        return self._load(address, SEQ_CST)

    def store(self, address, value):
        self._store(address, value, SEQ_CST)

    def swap(self, address, expected, value):
        """True if the word was @expected, and is @value now."""
        seen = self._ctype(expected)
        return self._swap(address, ctypes.addressof(seen), value, SEQ_CST, SEQ_CST)

    def fetch(self, operation, address, value):
        mask = (1 << 8 * ctypes.sizeof(self._ctype)) - 1
        return self._fetch[operation](address, value & mask, SEQ_CST)


def load_atomics():
    try:
        library = ctypes.CDLL("libatomic.so.1")
    except OSError:
        raise PoolError("joining a pool needs libatomic.so.1") from None
    return Atomics(library, 4, ctypes.c_uint32), Atomics(library, 8, ctypes.c_uint64)


def futex_wake_all(address):
    if SYS_FUTEX:  # elsewhere those who wait look again by themselves
        ctypes.CDLL(None).syscall(SYS_FUTEX, ctypes.c_void_p(address), FUTEX_WAKE, 0x7FFFFFFF,
                                  None, None, 0)


class Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


def futex_wait(address, seen, seconds):
    """Sleep until somebody wakes, at most for so long, and not at all if the word is not @seen."""
    if SYS_FUTEX:
        timeout = Timespec(int(seconds), int(seconds % 1 * 1e9))
        ctypes.CDLL(None).syscall(SYS_FUTEX, ctypes.c_void_p(address), FUTEX_WAIT,
                                  ctypes.c_uint32(seen), ctypes.byref(timeout), None, 0)
    else:
        time.sleep(min(seconds, NAP_SECONDS))
