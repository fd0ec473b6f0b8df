# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
"""Payload fields in stock gRPC for Python: docs/wire.md, both sides.

Needs the stubs of proto/shorthaul/v1, made by protoc and grpc_python_plugin, and a pool of
haul_pool.py for payloads by key. Without a pool everything travels inline.

Threads: any. A Caller belongs to one gRPC channel, a Lane to one server, a Call to one handler.
"""

import contextlib
import os
import re
import secrets
import threading
import time

import grpc
from google.protobuf.message import DecodeError

from haul_pool import Exhausted, Key, PoolError
from shorthaul.v1 import lane_pb2, lane_pb2_grpc, payload_pb2

ACCEPT, LEND, PATH, LANE, REFUSED = (
    "shorthaul-accept", "shorthaul-lend-bin", "shorthaul-path", "shorthaul-lane",
    "shorthaul-refused")
LEND_BYTES_MAX = 128
GIVE_NS = 60_000_000_000  # how long an answer waits to be claimed where the call has no deadline


class Malformed(ValueError):
    """A Payload whose length and source disagree."""


# ---- Payload messages and metadata ---------------------------------------------------------------


def kind_of(payload):
    """"empty", "inline" or "key". Raises Malformed."""
    source = payload.WhichOneof("source")
    if source == "transfer":
        raise Malformed("a transfer, and no data connection has been offered")
    n_bytes = {None: 0, "inline": len(payload.inline), "key": payload.length}[source]
    if payload.length != n_bytes:
        raise Malformed("a payload's length and its bytes disagree")
    return source or "empty"


def key_of(payload):
    k = payload.key
    return Key(k.pool_id, k.index, k.generation, k.ticket, k.offset)


def set_inline(payload, data):
    payload.length = len(data)
    payload.inline = bytes(data)


def set_key(payload, key, length):
    payload.length = length
    payload.key.SetInParent()
    for name, value in key._asdict().items():
        setattr(payload.key, name, value)


def format_accept(pool):
    return f"{pool.pool_id:016x}.{pool.slot}"


def parse_accept(text):
    """(pool id, slot), or None for what is not well-formed."""
    match = re.fullmatch(r"([0-9a-f]{16})\.([0-9]{1,10})", text, re.ASCII)
    slot = int(match[2]) if match else 0
    return (int(match[1], 16), slot) if 1 <= slot <= 0xFFFFFFFF else None


def parse_lend(value):
    """(key, room) of a buffer that is lent for the answer, or None for what is not well-formed."""
    if len(value) <= LEND_BYTES_MAX:
        with contextlib.suppress(DecodeError, Malformed):
            payload = payload_pb2.Payload.FromString(value)
            if kind_of(payload) == "key":
                return key_of(payload), payload.length
    return None


def parse_lane(text):
    """The number in shorthaul-lane, or None for what is not well-formed."""
    return int(text, 16) if re.fullmatch(r"[0-9a-f]{16}", text, re.ASCII) else None


def format_path(request, response):
    """From two sets of "shm" and "inline": how the payloads of each message went."""

    def name(ways):
        return "mixed" if len(ways) == 2 else next(iter(ways), "none")

    return f"request={name(request)} response={name(response)}"


def accepted(metadata):
    """Where answers may be given: the last well-formed shorthaul-accept, or None."""
    found = [parse_accept(value) for name, value in metadata or () if name == ACCEPT]
    return next(filter(None, reversed(found)), None)


def lent(metadata):
    """The room that the caller lends for the answer: the first well-formed shorthaul-lend-bin, or
    None."""
    found = (parse_lend(value) for name, value in metadata or () if name == LEND)
    return next(filter(None, found), None)


def find(metadata, name):
    """The last value of that name; None if there is none."""
    return next((value for key, value in reversed(tuple(metadata or ())) if key == name), None)


# ---- Serving -------------------------------------------------------------------------------------


class Lane(lane_pb2_grpc.LaneServiceServicer):
    """What one server knows of itself, and the service that answers probes.

    Add it to the server like any servicer, and in a handler of your own:

        call = lane.call(context)
        with call.opened(request.data) as data:          # a memoryview, however it came
            ...
        call.put(response.data, result)
    """

    def __init__(self, pool=None):
        self.pool = pool
        self.id = secrets.token_hex(8)

    def call(self, context):
        return Call(self, context)

    def Probe(self, request, context):
        nonce = request.nonce
        if not 16 <= nonce.length <= 64:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a nonce has 16 to 64 bytes")
        context.set_trailing_metadata(((LANE, self.id),))
        response = lane_pb2.ProbeResponse()
        with contextlib.suppress(PoolError):
            if nonce.WhichOneof("source") == "key" and self.pool:
                with self.pool.attach(key_of(nonce), nonce.length) as data:
                    response.nonce = bytes(data)
                    response.attached = True
                    response.participant = self.pool.slot
        return response


class Call:
    """One call being served: opens what the request carries, gives what the answer carries."""

    def __init__(self, lane, context):
        self._lane, self._context = lane, context
        self._request, self._response = set(), set()
        self._pool, self._recipient = self._accepting()
        self._loan = self._loan_open()
        self._tell()

    def _accepting(self):
        """Where the answer's payloads may go: our pool and the caller's slot in it, or None."""
        pool, accept = self._lane.pool, accepted(self._context.invocation_metadata())
        if accept is None or pool is None or pool.slot == 0 or accept[0] != pool.pool_id:
            return None, 0
        return pool, accept[1]

    def _loan_open(self):
        """The key of a buffer that the caller lends, which goes back unless it is used."""
        loan = lent(self._context.invocation_metadata()) if self._pool else None
        if loan is None or loan[0].pool_id != self._pool.pool_id:
            return None
        self._context.add_callback(self._loan_close)
        return loan

    def _loan_close(self):
        with contextlib.suppress(PoolError):
            self._pool.revoke(self._loan[0])

    def _tell(self, *more):
        self._context.set_trailing_metadata(
            ((PATH, format_path(self._request, self._response)), (LANE, self._lane.id), *more))

    @contextlib.contextmanager
    def opened(self, payload):
        """The bytes of a payload of the request. What cannot be opened ends the call."""
        with contextlib.ExitStack() as stack:
            yield self._open(payload, stack)

    def _open(self, payload, stack):
        try:
            kind = kind_of(payload)
            if kind == "key":
                data = self._attach(payload, stack)
                self._request.add("shm")
            else:
                data = memoryview(payload.inline)
                self._request |= {"inline"} if kind == "inline" else set()
        except Malformed as error:
            self._context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except PoolError:
            self._tell((REFUSED, "key"))
            self._context.abort(grpc.StatusCode.FAILED_PRECONDITION,
                                "a payload's key cannot be attached here")
        self._tell()
        return data

    def _attach(self, payload, stack):
        if self._lane.pool is None:
            raise PoolError("this server has no pool")
        return stack.enter_context(self._lane.pool.attach(key_of(payload), payload.length))

    def put(self, payload, data):
        """Make a payload of the response say these bytes: by key if the caller takes gifts from
        the server's pool, else inline."""
        if self._give(payload, data):
            self._response.add("shm")
        else:
            set_inline(payload, data)
            self._response.add("inline")
        self._tell()

    def _give(self, payload, data):
        if self._pool is None:
            return False
        try:
            with self._room(len(data)) as buffer:
                buffer.data[:] = data
                key = buffer.give(self._recipient, self._until_ns(GIVE_NS))
        except PoolError:
            return False
        if not self._context.is_active():
            self._pool.revoke(key)  # else, past the deadline, whoever reaps does
        set_key(payload, key, len(data))
        return True

    def _room(self, length):
        """A buffer to fill: the one that was lent, as long as nobody has claimed it, or our own."""
        if self._loan is not None and length <= self._loan[1]:
            with contextlib.suppress(PoolError):
                return self._pool.claim_empty(self._loan[0], length)
        return self._pool.alloc(length)

    def _until_ns(self, give_ns):
        left = self._context.time_remaining()
        return time.monotonic_ns() + (give_ns if left is None else int(left * 1e9))


# ---- Calling -------------------------------------------------------------------------------------


class Caller:
    """The client's half: proves the lane, sends by key, sends again inline if a key is refused."""

    def __init__(self, channel, pool=None):
        self._probe = lane_pb2_grpc.LaneServiceStub(channel).Probe
        self.pool = pool
        self._mutex = threading.Lock()  # one probe at a time
        self._shared = None  # what a probe has proven; None: nothing
        self._lane = None  # of the server that was probed
        self._server_slot = 0  # where it takes gifts; 0: it does not
        channel.subscribe(self._on_connectivity)

    def _on_connectivity(self, state):
        if state is not grpc.ChannelConnectivity.READY:
            self._shared = None  # what is proven is proven of one connection

    def _is_shared(self, timeout):
        if self.pool is None or self.pool.slot == 0:
            return False
        with self._mutex:
            if self._shared is None:
                self._shared = self._prove(timeout)
            return bool(self._shared)

    def _prove(self, timeout):
        nonce = os.urandom(32)
        request = lane_pb2.ProbeRequest()
        try:
            with self.pool.alloc(len(nonce)) as buffer:
                buffer.data[:] = nonce
                set_key(request.nonce, buffer.share(), len(nonce))
                response, call = self._probe.with_call(request, timeout=timeout)
        except Exhausted:
            return None
        except grpc.RpcError as error:
            return False if error.code() is grpc.StatusCode.UNIMPLEMENTED else None
        self._lane = find(call.trailing_metadata(), LANE)
        self._server_slot = response.participant
        return response.attached and response.nonce == nonce

    def lane(self, timeout=None):
        """Whether keys may be sent, and the slot that they may be given to (0: to none)."""
        shared = self._is_shared(timeout)
        return shared, self._server_slot if shared else 0

    def call(self, method, request, payload=None, data=b"", timeout=None):
        """Call a unary method, with @data in @payload if that is given, a field of @request.

        Returns the response and the call's trailing metadata; open the response's payloads with
        opened(), before the deadline. Raises grpc.RpcError.
        """
        until = None if timeout is None else time.monotonic() + timeout
        shared = self._is_shared(timeout)
        buffer = self._fill(shared, payload, data)
        try:
            return self._send(method, request, until, shared)
        except grpc.RpcError as error:
            if buffer is None or find(error.trailing_metadata(), REFUSED) != "key":
                raise
        finally:
            if buffer is not None:
                buffer.release()
        self._shared = None
        set_inline(payload, data)
        return self._send(method, request, until, False)

    def _fill(self, shared, payload, data):
        """The buffer whose key @payload says; None if it says the bytes themselves."""
        if payload is not None and shared:
            with contextlib.suppress(Exhausted):
                buffer = self.pool.alloc(len(data))
                buffer.data[:] = data
                set_key(payload, buffer.share(), len(data))
                return buffer
        if payload is not None:
            set_inline(payload, data)
        return None

    def _send(self, method, request, until, accept):
        timeout = None if until is None else max(until - time.monotonic(), 0)
        metadata = ((ACCEPT, format_accept(self.pool)),) if accept else None
        response, call = method.with_call(request, timeout=timeout, metadata=metadata)
        trailing = call.trailing_metadata()
        if find(trailing, LANE) != self._lane:
            self._shared = None  # another server answered than the one that was probed
        return response, trailing

    @contextlib.contextmanager
    def opened(self, payload):
        """The bytes of a payload of a response. Raises Malformed, or PoolError if a gift was taken
        back meanwhile."""
        if kind_of(payload) != "key":
            yield memoryview(payload.inline)
            return
        if self.pool is None:
            raise Malformed("a key, though none was asked for")
        with self.pool.claim(key_of(payload), payload.length) as data:
            yield data
