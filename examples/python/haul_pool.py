# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
"""Pools of shared-memory buffers from Python, without the C library.

Written from docs/shm-layout.md alone, and to be read beside it. There are two ways in:

    Reader        joins nothing and writes nothing. read() copies a payload and then proves, from
                  the buffer's state word, that what it copied is what was shared under that key;
                  else it raises Stale. It does not pin: the bytes are yours, the buffer is not.
                  x86-64 only, because it relies on loads being seen in program order.

    Participant   joins, as a process of the C library does. attach() pins a buffer and shows its
                  bytes where they are; alloc(), share() and give() send; claim() takes an answer.
                  Needs atomic operations on shared words, which Python lacks: GCC's libatomic
                  (libatomic.so.1, Debian package libatomic1) has them as functions.

Threads: any, for both. After fork() a child must open a pool of its own; the inherited one raises
PoolError, except for close(). If the process dies, what it owned and held is taken back by whoever
reaps next.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import struct
import threading
import time
import weakref

from haul_atomics import futex_wait, futex_wake_all, load_atomics
from haul_buffer import Buffer
from haul_layout import (
    ABSENT, BORN, CAPACITY, CLASS_BYTES, CLASS_HIGH_WATER, CLASS_N_USED, COUNTERS_BYTES,
    COUNTERS_REQUESTED, Corrupt, Exhausted, FREE, GIVEN, HEADER_STATE, HEADER_WAKE, HOLDERS,
    Invalid, Key, LENGTH, OWNED, PAGE, PoolError, READY, RETIRED, SHARED, SLOT_BYTES,
    SLOT_JOINED_NS, SLOT_JOINS, SLOT_NAME, SLOT_PID, STATE, Stale, TICKET, TRIMMING, USED,
    flags_of, generation_of, make_word, open_object, phase_of, who_of)
from haul_reader import Pool, Reader

__all__ = ["Corrupt", "Exhausted", "Invalid", "Key", "Participant", "PoolError", "Reader", "Stale"]

# Open participants, whose locks a forked child has to give up.
_participants = weakref.WeakSet()


def _after_fork():
    for pool in list(_participants):
        pool._forked()


os.register_at_fork(after_in_child=_after_fork)


class Participant(Pool):
    """A member of a pool, equal to those that use the C library, except that it does not make
    buffers, does not reap the dead, and joins only in slots that were left in good order."""

    def __init__(self, name, participant_name="python"):
        self._a32, self._a64 = load_atomics()
        super().__init__(name, writable=True)
        self._base = ctypes.addressof(ctypes.c_char.from_buffer(self._control))
        self._mutex = threading.RLock()  # holds, maps, owned
        self._holds = {}
        self._maps = {}
        self._owned = {}
        self._usable = False
        self._lock_fd, _ = open_object("haul." + name, writable=True)
        try:
            if os.fstat(self._lock_fd).st_ino != self._inode:
                raise PoolError("the pool was replaced meanwhile")
            self.slot = self._take_slot(participant_name)
        except PoolError:
            os.close(self._lock_fd)
            raise
        self._usable = True
        _participants.add(self)

    # -- the slot

    def _slot_at(self, slot):
        return self._base + self.geometry.slots + slot * SLOT_BYTES

    def _lock(self, slot, kind):
        request = struct.pack("hhqqi0q", kind, os.SEEK_SET, slot, 1, 0)
        try:
            fcntl.fcntl(self._lock_fd, fcntl.F_OFD_SETLK, request)
        except BlockingIOError:
            return False
        return True

    def _take_slot(self, name):
        for slot in range(1, self.geometry.n_slots + 1):
            at = self._slot_at(slot)
            if self._a32.load(at + SLOT_PID) != 0 or not self._lock(slot, fcntl.F_WRLCK):
                continue
            if self._a32.load(at + SLOT_PID) != 0:  # its user died between the two looks
                self._lock(slot, fcntl.F_UNLCK)
                continue
            if self._a32.load(self._base + HEADER_STATE) != READY:
                raise PoolError("the pool is being removed")
            self._a32.fetch("add", at + SLOT_JOINS, 1)
            self._a64.store(at + SLOT_JOINED_NS, time.monotonic_ns())
            text = name.encode()[:31].ljust(32, b"\0")
            ctypes.memmove(at + SLOT_NAME, text, 32)
            self._a32.store(at + SLOT_PID, os.getpid())
            return slot
        raise Exhausted("no slot is free, or all that are have to be reaped first")

    def _forked(self):
        """In a child: its copy of the description would keep the parent alive for ever."""
        if self._usable:
            self._usable = False
            os.close(self._lock_fd)

    def _check_usable(self):
        if not self._usable:
            raise PoolError("the pool is closed, or was opened before fork()")

    # -- words and mappings

    def _record(self, index):
        return self._base + self.geometry.record(index)

    def _map(self, index, writable):
        """The bytes of a buffer that this process owns or pins. The mapping is kept."""
        born = self._a32.load(self._record(index) + BORN)
        with self._mutex:
            old_born, view = self._maps.get((index, writable), (None, None))
            if old_born == born:
                return view
            fd, size = self._open_buffer(index, writable)
            try:
                prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
                if size == 0 or born == 0:
                    raise Corrupt("the buffer's object is short")
                view = memoryview(mmap.mmap(fd, size, mmap.MAP_SHARED, prot))
            finally:
                os.close(fd)
            self._maps[index, writable] = (born, view)
            return view

    # -- attaching

    def _bit(self, index):
        return self._record(index) + HOLDERS + self.slot // 64 * 8, 1 << self.slot % 64

    def _pin(self, index):
        with self._mutex:
            n = self._holds.get(index, 0)
            if n == 0:
                word, bit = self._bit(index)
                self._a64.fetch("or", word, bit)
            self._holds[index] = n + 1

    def _unpin(self, index):
        with self._mutex:
            n = self._holds.pop(index) - 1
            if n > 0:
                self._holds[index] = n
                return
            word, bit = self._bit(index)
            self._a64.fetch("and", word, ~bit)
        self._finish(index)

    @contextlib.contextmanager
    def attach(self, key, length):
        """Pin a shared buffer for the time of a with statement and show its bytes, read-only and
        where they are. Nothing that was made of them without a copy may be used afterwards; an
        array that still refers to them raises BufferError, and then the buffer stays pinned."""
        self._check_usable()
        self._check(key, length)
        self._pin(key.index)
        try:
            view = self._pinned_bytes(key, length)
        except PoolError:
            self._unpin(key.index)
            raise
        try:
            yield view
        finally:
            view.release()
            self._unpin(key.index)

    def _pinned_bytes(self, key, length):
        at = self._record(key.index)
        self._judge(key, length, self._a64.load(at + STATE), self._a64.load(at + TICKET),
                    self._a64.load(at + LENGTH))
        if length == 0:
            return memoryview(b"")
        view = self._map(key.index, writable=False)
        if key.offset + length > len(view):
            raise Corrupt("the buffer's object is short")
        return view[key.offset:key.offset + length]

    def _given(self, key, length):
        """The word of a buffer that was given to this process. Raises Stale if it was not, or was
        taken back."""
        self._check_usable()
        self._check(key, length)
        word = self._a64.load(self._record(key.index) + STATE)
        if not self._is_given(key, word) or who_of(word) != self.slot:
            raise Stale("the gift was taken back, or is not for us")
        return word

    def _is_given(self, key, word):
        return (phase_of(word) == GIVEN and generation_of(word) == key.generation and
                self._a64.load(self._record(key.index) + TICKET) == key.ticket)

    def _accept(self, key, word, mine):
        if not self._a64.swap(self._record(key.index) + STATE, word, mine):
            raise Stale("the gift was taken back")
        self._wake()

    @contextlib.contextmanager
    def claim(self, key, length):
        """Own a buffer that was given to this process, for the time of a with statement, and show
        its bytes. Raises Stale if it was taken back."""
        word = self._given(key, length)
        if key.offset + length > self._a64.load(self._record(key.index) + LENGTH):
            raise Invalid("the key is out of bounds")
        mine = make_word(key.generation, self.slot, SHARED, flags_of(word))
        self._accept(key, word, mine)
        try:
            with self.attach(key, length) as view:
                yield view
        finally:
            self._retire(key.index, mine)

    def claim_empty(self, key, length):
        """Own a buffer that was given to this process with nothing in it: a Buffer of which
        @length bytes may be filled. Raises Stale if it was taken back, and Exhausted if there is
        not so much room in it, which lets go of it."""
        word = self._given(key, 0)
        at = self._record(key.index)
        if key.offset != 0 or self._a64.load(at + LENGTH) != 0:
            raise Invalid("the buffer was not given empty")
        mine = make_word(key.generation + 1, self.slot, OWNED, flags_of(word))
        self._accept(key, word, mine)
        try:
            with self._mutex:
                self._owned[key.index] = self._a64.load(at + CAPACITY)
            if len(self._map(key.index, writable=True)) < length:
                raise Exhausted("the buffer is too small")
            return Buffer(self, key.index, mine, length)
        except PoolError:
            self._disown(key.index)
            self._retire(key.index, mine)
            raise

    def revoke(self, key):
        """Take a gift back. False if it was claimed, or taken back already."""
        self._check_usable()
        self._check(key, 0)
        word = self._a64.load(self._record(key.index) + STATE)
        return self._is_given(key, word) and self._retire(key.index, word)

    def wait_claimed(self, key, seconds):
        """Wait until a gift is no longer on its way: it was claimed, or taken back. False if it
        still is after so long. Somebody who has died meanwhile is not noticed."""
        self._check_usable()
        self._check(key, 0)
        at, wake = self._record(key.index) + STATE, self._base + HEADER_WAKE
        until = time.monotonic() + seconds
        left = seconds
        while self._is_given(key, self._a64.load(at)):
            if left <= 0:
                return False
            seen = self._a32.fetch("or", wake, 1) | 1
            if self._is_given(key, self._a64.load(at)):
                futex_wait(wake, seen, left)
            left = until - time.monotonic()
        return True

    def _retire(self, index, word):
        retired = make_word(generation_of(word), 0, RETIRED, flags_of(word))
        done = self._a64.swap(self._record(index) + STATE, word, retired)
        if done:
            self._finish(index)
        return done

    # -- the end of a buffer's life

    def _finish(self, index):
        """If the buffer is RETIRED and nobody holds it, move it on."""
        at = self._record(index)
        word = self._a64.load(at + STATE)
        if phase_of(word) != RETIRED or any(
                self._a64.load(at + HOLDERS + 8 * w)
                for w in range(self.geometry.n_holder_words)):
            return
        c, i = self.geometry.class_of(index)
        if self.geometry.classes[c][0] == 0:
            self._unmake(index, c, word)
            return
        free = make_word(generation_of(word) + 1, 0, FREE, flags_of(word))
        if self._a64.swap(at + STATE, word, free):
            hint, bit = self._base + self.geometry.bitmaps[c] + i // 64 * 8, 1 << i % 64
            if not self._a64.load(hint) & bit:
                self._a64.fetch("or", hint, bit)
            self._wake()

    def _unmake(self, index, c, word):
        """A buffer made to measure ends with its object."""
        at = self._record(index)
        mine = make_word(generation_of(word), self.slot, TRIMMING, flags_of(word))
        if not self._a64.swap(at + STATE, word, mine):
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"/dev/shm/haul.{self.name}:{self.pool_id:016x}:{index}")
        if flags_of(word) & USED:
            self._a32.fetch("add", self._class_at(c) + CLASS_N_USED, -1)
        self._a64.store(at + CAPACITY, 0)
        self._a32.store(at + BORN, 0)
        self._a64.swap(at + STATE, mine, make_word(generation_of(word), 0, ABSENT, 0))
        self._wake()

    def _class_at(self, c):
        return self._base + self.geometry.class_hints + c * CLASS_BYTES

    def _wake(self):
        """Wake who waits for a buffer."""
        at = self._base + HEADER_WAKE
        seen = self._a32.load(at)
        if seen & 1 and self._a32.swap(at, seen, (seen + 2) & 0xFFFFFFFE):
            futex_wake_all(at)

    # -- allocating

    def alloc(self, length):
        """A Buffer of which @length bytes may be filled, from the smallest class that has one.
        Raises Exhausted: it makes no buffers and does not wait."""
        self._check_usable()
        first = 0
        for c, (size_bytes, _, n_max) in enumerate(self.geometry.classes):
            capacity = -(-size_bytes // PAGE) * PAGE
            if size_bytes != 0 and capacity >= length:
                for index in range(first, first + n_max):
                    word = self._try_take(index, c, capacity)
                    if word:
                        self._count_request(c, length)
                        return Buffer(self, index, word, length)
            first += n_max
        raise Exhausted("no buffer is free")

    def _try_take(self, index, c, capacity):
        at = self._record(index) + STATE
        word = self._a64.load(at)
        if phase_of(word) != FREE:
            return 0
        with self._mutex:
            if self.geometry.quota and sum(self._owned.values()) + capacity > self.geometry.quota:
                return 0
            mine = make_word(generation_of(word), self.slot, OWNED, flags_of(word) | USED)
            if index in self._owned or not self._a64.swap(at, word, mine):
                return 0
            self._owned[index] = capacity
        if not flags_of(word) & USED:
            self._count_first_use(c)
        return mine

    def _disown(self, index):
        with self._mutex:
            self._owned.pop(index, None)

    def _count_first_use(self, c):
        used = self._a32.fetch("add", self._class_at(c) + CLASS_N_USED, 1) + 1
        at = self._class_at(c) + CLASS_HIGH_WATER
        high = self._a32.load(at)
        while high < used <= self.geometry.classes[c][2] and not self._a32.swap(at, high, used):
            high = self._a32.load(at)

    def _count_request(self, c, length):
        row = self.slot * len(self.geometry.classes) + c
        bucket = min(47, (length - 1).bit_length() if length else 0)
        self._a64.fetch("add", self._base + self.geometry.counters + row * COUNTERS_BYTES +
                        COUNTERS_REQUESTED + 8 * bucket, 1)

    # -- leaving

    def close(self):
        """Leave. Everything attached must have been let go of; what is still owned is released."""
        if not self._usable:
            return
        if self._holds:
            raise PoolError("something is still attached")
        for index in list(self._owned):
            word = self._a64.load(self._record(index) + STATE)
            if who_of(word) == self.slot and phase_of(word) in (OWNED, SHARED):
                self._retire(index, word)
        self._usable = False
        self._a32.store(self._slot_at(self.slot) + SLOT_PID, 0)
        os.close(self._lock_fd)
