# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
"""Payload fields in streaming calls of stock gRPC for Python: docs/wire.md, Streams, both sides.

In a handler, of any of the three kinds:

    with haul_stream.Served(lane, context) as stream:
        for frame in requests:
            with stream.opened(frame.data) as data:     # a memoryview, however it came
                ...
            stream.put(answer.data, result)
            yield answer

And to call one:

    with haul_stream.Called(caller) as stream:
        for answer in stream.begin(stub.Chat, frames(stream)):   # frames() uses stream.put()
            with stream.opened(answer.data) as data:
                ...

Open every payload of a message before you take the next message: that makes room in the sender's
window. A payload opened is the receiver's for the time of the with statement.

Threads: one puts, one opens. If the process dies, what it gave can still be claimed, and what it was
given is reaped.
"""

import collections
import contextlib
import threading
import time

from haul_grpc import (
    ACCEPT, Call, Malformed, format_accept, key_of, kind_of, set_inline, set_key)
from haul_pool import PoolError, Stale

WINDOW = 16  # buffers that may be on their way unclaimed
GIVE_NS = 600_000_000_000  # how long one waits to be claimed where the call has no deadline
LOOK_SECONDS = 0.02  # between two looks whether the call is over


class Window:
    """What one side has given to the other and nobody has claimed yet, in the order of sending."""

    def __init__(self, pool, recipient, is_over):
        self._pool, self._recipient, self._is_over = pool, recipient, is_over
        self._mutex = threading.Lock()  # the following
        self._keys = collections.deque()
        self._closed = pool is None or recipient == 0

    def _wait(self, n):
        """Until no more than @n are unclaimed; False if the call is over first."""
        while True:
            with self._mutex:
                if self._closed or not self._keys:
                    return not self._closed
                first, enough = self._keys[0], len(self._keys) <= n
            if self._pool.wait_claimed(first, 0 if enough else LOOK_SECONDS):
                with self._mutex:
                    if self._keys:  # else it was closed meanwhile
                        self._keys.popleft()
            elif enough:
                return True
            elif self._is_over():
                return False

    def give(self, payload, data, until_ns):
        """Make @payload say these bytes, by key. False if they cannot go by key."""
        try:
            if not data or not self._wait(WINDOW - 1):
                return False
            with self._pool.alloc(len(data)) as buffer:
                buffer.data[:] = data
                with self._mutex:
                    if self._closed:
                        return False
                    key = buffer.give(self._recipient, until_ns)
                    self._keys.append(key)
        except PoolError:
            return False
        set_key(payload, key, len(data))
        return True

    def settle(self):
        """Wait until all is claimed, or the call is over."""
        self._wait(0)

    def close(self):
        """Take back what is unclaimed; nothing is given any more."""
        with self._mutex:
            self._closed = True
            for key in self._keys:
                with contextlib.suppress(PoolError):
                    self._pool.revoke(key)
            self._keys.clear()


def claimed_or_attached(pool, payload, stack):
    """The bytes of a key: ours from now on if they were given to us, else still the sender's."""
    if pool is None:
        raise PoolError("there is no pool")
    key = key_of(payload)
    if pool.slot != 0:
        with contextlib.suppress(Stale):
            return stack.enter_context(pool.claim(key, payload.length))
    return stack.enter_context(pool.attach(key, payload.length))


class Served(Call):
    """A streaming call being served."""

    def __init__(self, lane, context):
        super().__init__(lane, context)
        self._window = Window(self._pool, self._recipient, lambda: not context.is_active())

    def __enter__(self):
        self._context.add_callback(self._window.close)
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self._window.settle()
        self._window.close()

    def _attach(self, payload, stack):
        return claimed_or_attached(self._lane.pool, payload, stack)

    def _give(self, payload, data):
        return self._window.give(payload, data, self._until_ns(GIVE_NS))


class Called:
    """A streaming call being made, with haul_grpc.Caller. One call; it is cancelled if the with
    statement ends before it does."""

    def __init__(self, caller, timeout=None):
        self._pool = caller.pool
        self._until = None if timeout is None else time.monotonic() + timeout
        self._shared, slot = caller.lane(timeout)
        self._call = None
        self._window = Window(self._pool if self._shared else None, slot, self._is_over)

    def _is_over(self):
        return self._call is not None and not self._call.is_active()

    def begin(self, method, request):
        """Start the call, and return gRPC's call object. @method: of a stub; for those that answer
        once its future. @request: a request, or an iterator of them."""
        timeout = None if self._until is None else max(self._until - time.monotonic(), 0)
        metadata = ((ACCEPT, format_accept(self._pool)),) if self._shared else None
        self._call = method(request, timeout=timeout, metadata=metadata)
        return self._call

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._call is not None:
            self._call.cancel()  # which does nothing to one that is over
        self._window.close()

    def put(self, payload, data):
        """Make a payload of the next request say these bytes: by key where the server takes gifts,
        else inline. Waits while the window is full."""
        until = time.monotonic_ns() + GIVE_NS if self._until is None else int(self._until * 1e9)
        if not self._window.give(payload, data, until):
            set_inline(payload, data)

    @contextlib.contextmanager
    def opened(self, payload):
        """The bytes of a payload of a response. Raises Malformed, or PoolError if a gift was taken
        back meanwhile."""
        with contextlib.ExitStack() as stack:
            if kind_of(payload) != "key":
                yield memoryview(payload.inline)
            elif not self._shared:
                raise Malformed("a key, though none was asked for")
            else:
                yield claimed_or_attached(self._pool, payload, stack)
