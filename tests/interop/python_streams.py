# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
"""The calls of python_peer.py that stream: the stream service, and a list of calls of it."""

import functools
import sys
import threading

import grpc

import haul_grpc
import haul_pool
import haul_stream
import stream_test_pb2 as pb
import stream_test_pb2_grpc as pb_grpc

SIZES = (0, 1, 60_000, 1 << 20, 20_000_000)
SMALL = 5000
MANY = 200  # more than any window
TIMEOUT = 120


@functools.cache
def period(seed):
    return bytes((seed + i + (i >> 8)) & 0xFF for i in range(65536))


def fill(length, seed):
    """What test_fill() of tests/lib makes; it repeats itself after 65,536 bytes."""
    return (period(seed & 0xFF) * (length // 65536 + 1))[:length]


def total(data):
    """What test_sum() of tests/lib makes."""
    value = 14695981039346656037 ^ len(data)
    for byte in data:
        value = (value ^ byte) * 1099511628211 & 0xFFFFFFFFFFFFFFFF
    return value


def check(what, found, wanted):
    if found != wanted:
        sys.exit(f"python_peer: {what}: {found!r:.100} instead of {wanted!r:.100}")


class Service(pb_grpc.StreamServiceServicer):
    def __init__(self, lane):
        self._lane = lane

    def Upload(self, requests, context):
        answer = pb.Frame()
        with haul_stream.Served(self._lane, context) as stream:
            for frame in requests:
                for payload in frame.data:
                    with stream.opened(payload) as data:
                        answer.sum = (answer.sum + total(data)) & 0xFFFFFFFFFFFFFFFF
                answer.number += 1
        return answer

    def Download(self, request, context):
        with haul_stream.Served(self._lane, context) as stream:
            for number in range(request.count):
                frame = pb.Frame(number=number)
                stream.put(frame.data.add(), fill(request.size, number))
                yield frame

    def Chat(self, requests, context):
        with haul_stream.Served(self._lane, context) as stream:
            for frame in requests:
                if frame.act == pb.ACT_FAIL:
                    context.abort(grpc.StatusCode.ALREADY_EXISTS, "as asked")
                back = pb.Frame(number=frame.number)
                for payload in frame.data:
                    with stream.opened(payload) as data:
                        stream.put(back.data.add(), data)
                yield back

    def Once(self, request, context):
        return pb.Frame(number=request.number + 1)


class Client:
    """The list. Everything goes one way: by key, or inline."""

    def __init__(self, channel, caller):
        self._stub, self._caller = pb_grpc.StreamServiceStub(channel), caller
        pool = caller.pool
        self._by_key = pool is not None and pool.slot != 0
        self._way = "shm" if self._by_key else "inline"

    def _stream(self):
        return haul_stream.Called(self._caller, TIMEOUT)

    def _check_path(self, call, path):
        check("path", haul_grpc.find(call.trailing_metadata(), haul_grpc.PATH), path)

    def _check_frame(self, stream, frame, number, data):
        check("number", (frame.number, len(frame.data)), (number, 1))
        check("way", frame.data[0].WhichOneof("source"),
              "key" if self._by_key and data else "inline")
        with stream.opened(frame.data[0]) as found:
            check(f"{len(data)} bytes", found == data, True)

    def upload(self):
        sent = [fill(SIZES[3] if i == 7 else SMALL - i, i) for i in range(40)]

        def frames(stream):
            for data in sent:
                frame = pb.Frame()
                stream.put(frame.data.add(), data)
                yield frame

        with self._stream() as stream:
            call = stream.begin(self._stub.Upload.future, frames(stream))
            answer = call.result()
            check("sum", (answer.number, answer.sum),
                  (40, sum(map(total, sent)) & 0xFFFFFFFFFFFFFFFF))
            self._check_path(call, f"request={self._way} response=none")

    def download(self, count, size):
        with self._stream() as stream:
            call = stream.begin(self._stub.Download, pb.Frame(count=count, size=size))
            n = 0
            for frame in call:
                self._check_frame(stream, frame, n, fill(size, n))
                n += 1
            check("frames", n, count)
            self._check_path(call, f"request=none response={self._way}")

    def chat(self, sizes):
        """All at once: gRPC reads and writes in threads of its own, and windows fill."""

        def frames(stream):
            for number, size in enumerate(sizes):
                frame = pb.Frame(number=number)
                stream.put(frame.data.add(), fill(size, number))
                yield frame

        with self._stream() as stream:
            call = stream.begin(self._stub.Chat, frames(stream))
            n = 0
            for frame in call:
                self._check_frame(stream, frame, n, fill(sizes[n], n))
                n += 1
            check("frames", n, len(sizes))
            way = "mixed" if 0 in sizes and self._by_key else self._way  # what is empty is inline
            self._check_path(call, f"request={way} response={way}")

    def leave(self):
        """What is on its way when a call is cancelled goes back to the pool."""
        over = threading.Event()

        def frames(stream):
            frame = pb.Frame()
            stream.put(frame.data.add(), fill(SMALL, 1))
            yield frame
            over.wait()

        with self._stream() as stream:
            call = stream.begin(self._stub.Chat, frames(stream))
            next(call)
        over.set()
        check("code", call.code(), grpc.StatusCode.CANCELLED)

    def end_of(self, frame):
        with self._stream() as stream:
            call = stream.begin(self._stub.Chat, iter([frame]))
            try:
                for _ in call:
                    pass
            except grpc.RpcError:
                pass
            return (call.code(), call.details(),
                    haul_grpc.find(call.trailing_metadata(), haul_grpc.REFUSED))

    def ends(self):
        check("status", self.end_of(pb.Frame(act=pb.ACT_FAIL)),
              (grpc.StatusCode.ALREADY_EXISTS, "as asked", None))
        wrong = pb.Frame()
        haul_grpc.set_key(wrong.data.add(), haul_pool.Key(1, 2, 3, 4), 5)
        code, _, refused = self.end_of(wrong)
        check("a key of nobody's", (code, refused), (grpc.StatusCode.FAILED_PRECONDITION, "key"))
        haul_grpc.set_inline(wrong.data[0], b"bytes")
        wrong.data[0].length = 6
        code, _, refused = self.end_of(wrong)
        check("a wrong length", (code, refused), (grpc.StatusCode.INVALID_ARGUMENT, None))


def call(channel, caller):
    client = Client(channel, caller)
    client.upload()
    client.download(40, SMALL)
    client.download(3, 1 << 20)
    client.chat(SIZES)
    client.chat([SMALL + n for n in range(MANY)])
    client.leave()
    client.ends()
