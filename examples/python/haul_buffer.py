# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
"""A buffer of a pool in the hands of its owner: docs/shm-layout.md, Sending.

Made by haul_pool.Participant. One thread at a time uses a buffer. If the process dies, whoever reaps
takes the buffer back, in whatever state it is.
"""

import os

from haul_layout import (
    Corrupt, DEADLINE_NS, GIVEN, Invalid, Key, LENGTH, RETIRED, SHARED, SLOT_PID, STATE, TICKET,
    flags_of, generation_of, make_word)


class Buffer:
    """A buffer that this process owns: fill data, then share() or give(), then release()."""

    def __init__(self, pool, index, word, length):
        self._pool, self._index, self._word = pool, index, word
        self.data = pool._map(index, writable=True)[:length]

    def _publish(self, phase, who):
        pool, index, length = self._pool, self._index, len(self.data)
        self.data.release()  # raises BufferError while somebody could still write
        at = pool._record(index)
        ticket = int.from_bytes(os.urandom(8), "little")
        pool._a64.store(at + TICKET, ticket)
        pool._a64.store(at + LENGTH, length)
        word = make_word(generation_of(self._word), who, phase, flags_of(self._word))
        if not pool._a64.swap(at + STATE, self._word, word):
            raise Corrupt("somebody has written a word that is ours")
        self._word = word
        return Key(self._pool.pool_id, index, generation_of(word), ticket)

    def share(self):
        """Make the bytes immutable, and readable to whoever has the key that is returned."""
        return self._publish(SHARED, self._pool.slot)

    def give(self, recipient, deadline_ns):
        """Make the bytes the property of another participant, who has until @deadline_ns
        (CLOCK_MONOTONIC) to claim them. Not ours any more, but for Participant.revoke()."""
        pool = self._pool
        if not 1 <= recipient <= pool.geometry.n_slots or not pool._a32.load(
                pool._slot_at(recipient) + SLOT_PID):
            raise Invalid("nobody is there to be given anything")
        pool._a64.store(pool._record(self._index) + DEADLINE_NS, deadline_ns)
        key = self._publish(GIVEN, recipient)
        pool._disown(self._index)
        self._word = 0
        return key

    def release(self):
        """Let go. Readers that are attached finish in peace."""
        if self._word == 0:
            return
        pool, index, word = self._pool, self._index, self._word
        self.data.release()
        self._word = 0
        pool._disown(index)
        retired = make_word(generation_of(word), 0, RETIRED, flags_of(word))
        if pool._a64.swap(pool._record(index) + STATE, word, retired):
            pool._finish(index)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()
