# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
"""The bytes that the members of a pool share: docs/shm-layout.md in Python.

Numbers, keys, words, and the geometry of one pool. Nothing here changes a pool. Stateless but for
the geometry, which is constant once it is made; any thread.
"""

import os
import stat
import struct
from typing import NamedTuple

# ---- Numbers of docs/shm-layout.md ---------------------------------------------------------------

MAGIC = 0x4C554148524F4853
LAYOUT_VERSION = 2
FINGERPRINT = 0xDEF4F214AAA2387E  # kept by scripts/layout-doc.sh
HEADER_BYTES = 1856
LINE = 64
PAGE = 4096
SLOT_BYTES = 64
CLASS_BYTES = 64
NAME_BYTES = 128
COUNTERS_BYTES = 448

HEADER = struct.Struct("<QIIQ16sQQQIIII")  # up to the classes
HEADER_CLASSES = 80
HEADER_CLASS = struct.Struct("<QII")
HEADER_STATE = 640
HEADER_WAKE = 704

SLOT_PID, SLOT_JOINS, SLOT_JOINED_NS, SLOT_NAME = 0, 4, 8, 16
CLASS_N_USED, CLASS_HIGH_WATER = 4, 8
COUNTERS_REQUESTED = 64
STATE, TICKET, LENGTH, DEADLINE_NS, CAPACITY, BORN, HOLDERS = 0, 8, 16, 24, 32, 40, 64

ABSENT, CREATING, FREE, OWNED, SHARED, GIVEN, RETIRED, TRIMMING, KEPT, RETIRING = range(10)
NAMED = (CREATING, OWNED, SHARED, GIVEN, TRIMMING, RETIRING)
USED, HUGE = 1, 2
READY, REMOVED = 1, 3


class PoolError(Exception):
    """The pool cannot be used, or not like this."""


class Stale(PoolError):
    """The key named a buffer that has moved on, or never was that buffer's key."""


class Invalid(PoolError):
    """A key or length that is never right: another pool's, or out of bounds."""


class Corrupt(PoolError):
    """Shared memory holds something that no member of the pool writes."""


class Exhausted(PoolError):
    """No buffer, or no slot, is free."""


class Key(NamedTuple):
    """What shorthaul.v1.Key says."""

    pool_id: int
    index: int
    generation: int
    ticket: int
    offset: int = 0


def make_word(generation, who, phase, flags):
    return (generation & 0xFFFFFFFF) << 32 | who << 16 | phase << 8 | flags


def generation_of(word):
    return word >> 32


def who_of(word):
    return word >> 16 & 0xFFFF


def phase_of(word):
    return word >> 8 & 0xFF


def flags_of(word):
    return word & 0xFF


# ---- Objects -------------------------------------------------------------------------------------


def open_object(name, writable):
    """A descriptor of a shared-memory object that is safe to use, and its size."""
    flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open("/dev/shm/" + name, flags)
    except OSError as error:
        raise PoolError(f"cannot open a shared-memory object: {error.strerror}") from None
    st = os.fstat(fd)
    mine = st.st_uid in (os.geteuid(), 0) or (
        st.st_mode & stat.S_IRGRP and st.st_gid in (os.getegid(), *os.getgroups()))
    if not stat.S_ISREG(st.st_mode) or st.st_mode & 0o006 or not mine:
        os.close(fd)
        raise PoolError("the object is not one that is safe to open")
    return fd, st.st_size


class Geometry:
    """Where each part of a control segment is: computed and checked once, from its header."""

    def __init__(self, fd, size):
        header = os.pread(fd, HEADER_BYTES, 0)
        if len(header) < HEADER_BYTES:
            raise Corrupt("the control segment is short")
        (magic, version, header_bytes, fingerprint, self.uuid, total, self.budget, self.quota,
         self.n_slots, n_classes, self.n_names, _mode) = HEADER.unpack_from(header)
        if magic != MAGIC:
            raise Corrupt("this is not a pool")
        if (version, header_bytes, fingerprint) != (LAYOUT_VERSION, HEADER_BYTES, FINGERPRINT):
            raise PoolError("the pool has another layout")
        if not (1 <= self.n_slots <= 4096 and 1 <= n_classes <= 32 and 1 <= self.n_names <= 4096):
            raise Corrupt("the header makes no sense")
        self.classes = [HEADER_CLASS.unpack_from(header, HEADER_CLASSES + 16 * c)
                        for c in range(n_classes)]
        for c, (size_bytes, n_initial, n_max) in enumerate(self.classes):
            measured_elsewhere = size_bytes == 0 and c + 1 < n_classes
            if n_max not in range(1, 65537) or n_initial > n_max or measured_elsewhere:
                raise Corrupt("a class makes no sense")
        self._place()
        if self.total != total or size < total or self.pool_id == 0:
            raise Corrupt("the geometry makes no sense")

    def _place(self):
        at = HEADER_BYTES

        def part(n_bytes):
            nonlocal at
            start = -(-at // LINE) * LINE
            at = start + n_bytes
            return start

        n_classes = len(self.classes)
        self.slots = part((self.n_slots + 1) * SLOT_BYTES)
        self.class_hints = part(n_classes * CLASS_BYTES)
        self.bitmaps = [part(-(-n_max // 64) * 8) for _, _, n_max in self.classes]
        part(self.n_names * NAME_BYTES)
        self.counters = part((self.n_slots + 1) * n_classes * COUNTERS_BYTES)
        self.n_buffers = sum(n_max for _, _, n_max in self.classes)
        self.n_holder_words = self.n_slots // 64 + 1
        self.record_bytes = LINE + -(-8 * self.n_holder_words // LINE) * LINE
        self.records = part(self.n_buffers * self.record_bytes)
        self.total = -(-at // PAGE) * PAGE
        self.pool_id = int.from_bytes(self.uuid[:8], "little")

    def record(self, index):
        return self.records + index * self.record_bytes

    def class_of(self, index):
        """The class of a buffer, and the buffer's number in it."""
        for c, (_, _, n_max) in enumerate(self.classes):
            if index < n_max:
                return c, index
            index -= n_max
        raise Invalid("no such buffer")
