# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
"""Opening a pool, and reading from it without joining: docs/shm-layout.md.

A Reader maps the control segment read-only and copies payloads out. Any thread may use it. It can
die at any time, for nobody knows of it.
"""

import contextlib
import mmap
import os
import platform
import re

from haul_layout import (
    Corrupt, Geometry, HUGE, Invalid, KEPT, LENGTH, NAMED, PoolError, RETIRING, SHARED, STATE,
    Stale, TICKET, USED, flags_of, generation_of, open_object, phase_of, who_of)


class Pool:
    """What a Reader and a Participant have in common."""

    def __init__(self, name, writable):
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", name):
            raise Invalid("this is not a pool's name")
        self.name = name
        fd, size = open_object("haul." + name, writable)
        try:
            self.geometry = Geometry(fd, size)
            prot = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
            self._control = mmap.mmap(fd, self.geometry.total, mmap.MAP_SHARED, prot)
            self._inode = os.fstat(fd).st_ino
        finally:
            os.close(fd)
        self.pool_id = self.geometry.pool_id

    def _check(self, key, length):
        if key.pool_id != self.pool_id or not 0 <= key.index < self.geometry.n_buffers:
            raise Invalid("the key is not one of this pool's")
        if length < 0 or key.offset < 0:
            raise Invalid("the key is out of bounds")

    def _open_buffer(self, index, writable):
        return open_object(f"haul.{self.name}:{self.pool_id:016x}:{index}", writable)

    def _judge(self, key, length, word, ticket, stored_length):
        """Whether this is the buffer that the key means, and has the bytes."""
        phase, who = phase_of(word), who_of(word)
        if (phase not in (SHARED, KEPT) or generation_of(word) != key.generation or
                ticket != key.ticket):
            named = 1 <= who <= self.geometry.n_slots if phase in NAMED else who == 0
            if phase > RETIRING or flags_of(word) > (USED | HUGE) or not named:
                raise Corrupt("a state word makes no sense")
            raise Stale("the buffer has moved on")
        if key.offset + length > stored_length:
            raise Invalid("the key is out of bounds")


class Reader(Pool):
    """Copies payloads out of a pool that this process has not joined."""

    def __init__(self, name):
        if platform.machine() not in ("x86_64", "AMD64"):
            raise PoolError("a Reader needs a processor that sees loads in program order")
        super().__init__(name, writable=False)
        self._words = memoryview(self._control).cast("Q")  # one aligned load each

    def _look(self, key, length):
        at = self.geometry.record(key.index) // 8
        before = self._words[at + STATE // 8]
        facts = (self._words[at + TICKET // 8], self._words[at + LENGTH // 8])
        if self._words[at + STATE // 8] != before:
            raise Stale("the buffer is moving")
        self._judge(key, length, before, *facts)
        return before

    def read(self, key, length):
        """The bytes that were shared under a key. Raises Stale, Invalid or Corrupt.

        SHARED is entered once in a generation and immutable, and the generation never comes back:
        if the state is the same before and after the copy, nobody wrote in between. The copy is
        made with pread(), which can neither run past the object nor fault.
        """
        self._check(key, length)
        before = self._look(key, length)
        fd, _ = self._open_buffer(key.index, writable=False)
        data = bytearray(length)
        view, done = memoryview(data), 0
        try:
            while done < length:
                n = os.preadv(fd, [view[done:]], key.offset + done)
                if n == 0:
                    raise Stale("the buffer's object is short")
                done += n
        finally:
            os.close(fd)
        # SHARED may have become KEPT, which is as good; generation and ticket may not have changed.
        if generation_of(self._look(key, length)) != generation_of(before):
            raise Stale("the buffer has moved on")
        return data

    @contextlib.contextmanager
    def attach(self, key, length):
        """As Participant.attach(), but of a copy."""
        yield memoryview(self.read(key, length))

    slot = 0

    def close(self):
        self._words.release()
        self._control.close()
