# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The Shorthaul authors
"""The services of the tests in stock gRPC for Python, for tests/interop.

    python_peer.py serve ADDRESS [POOL WAY]    serves until its standard input ends; says "ready"
    python_peer.py call ADDRESS [POOL WAY]     makes a list of unary calls; 0 if all was right
    python_peer.py stream ADDRESS [POOL WAY]   the same with calls that stream

WAY is how the pool is used: "reader" or "participant" (examples/python/haul_pool.py).
"""

import concurrent.futures
import sys

import grpc

import haul_grpc
import haul_pool
import python_streams
import stream_test_pb2_grpc
import transport_test_pb2 as pb
import transport_test_pb2_grpc as pb_grpc
from python_streams import check, fill

SIZES = (0, 1, 1 << 20, 20_000_000, 64 << 20)
UNBOUNDED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def open_pool(arguments):
    if not arguments:
        return None
    name, way = arguments
    return {"reader": haul_pool.Reader, "participant": haul_pool.Participant}[way](name)


class Service(pb_grpc.TestServiceServicer):
    def __init__(self, lane):
        self._lane = lane

    def Empty(self, request, context):
        return pb.EmptyResponse()

    def Exchange(self, request, context):
        call = self._lane.call(context)
        response = pb.ExchangeResponse(request_bytes=request.ByteSize())
        with call.opened(request.data) as data:
            if request.mode == pb.MODE_ECHO:
                haul_grpc.set_inline(response.data, data)
        if request.mode == pb.MODE_PUT:
            call.put(response.data, fill(request.size, 7))
        elif request.mode == pb.MODE_FAIL:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked")
        return response


def serve(address, pool):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), options=UNBOUNDED)
    lane = haul_grpc.Lane(pool)
    haul_grpc.lane_pb2_grpc.add_LaneServiceServicer_to_server(lane, server)
    pb_grpc.add_TestServiceServicer_to_server(Service(lane), server)
    stream_test_pb2_grpc.add_StreamServiceServicer_to_server(python_streams.Service(lane), server)
    server.add_insecure_port(address)
    server.start()
    print("ready", flush=True)
    sys.stdin.read()
    server.stop(0).wait()


def check_sizes(caller, stub, by_key):
    way = "shm" if by_key else "inline"
    for size in SIZES:
        data = fill(size, 1)
        request = pb.ExchangeRequest(mode=pb.MODE_ECHO)
        response, trailing = caller.call(stub.Exchange, request, request.data, data)
        with caller.opened(response.data) as found:
            check(f"{size} bytes there and back", found == data, True)
        check("path", haul_grpc.find(trailing, haul_grpc.PATH),
              f"request={way} response=inline")
        request = pb.ExchangeRequest(mode=pb.MODE_PUT, size=size)
        response, trailing = caller.call(stub.Exchange, request)
        with caller.opened(response.data) as found:
            check(f"{size} bytes of an answer", found == fill(size, 7), True)
        check("path", haul_grpc.find(trailing, haul_grpc.PATH), f"request=none response={way}")


def check_status(stub, request, code, refused=None):
    try:
        stub.Exchange(request)
        check("code", grpc.StatusCode.OK, code)
    except grpc.RpcError as error:
        check("code", error.code(), code)
        check("refused", haul_grpc.find(error.trailing_metadata(), haul_grpc.REFUSED), refused)


def check_refusals(stub):
    check_status(stub, pb.ExchangeRequest(mode=pb.MODE_FAIL),
                 grpc.StatusCode.FAILED_PRECONDITION)
    wrong = pb.ExchangeRequest()
    wrong.data.length = 4
    check_status(stub, wrong, grpc.StatusCode.INVALID_ARGUMENT)
    wrong.data.inline = b"five!"
    check_status(stub, wrong, grpc.StatusCode.INVALID_ARGUMENT)
    haul_grpc.set_key(wrong.data, haul_pool.Key(1, 2, 3, 4), 4)
    check_status(stub, wrong, grpc.StatusCode.FAILED_PRECONDITION, "key")


def call(address, pool):
    with grpc.insecure_channel(address, options=UNBOUNDED) as channel:
        stub = pb_grpc.TestServiceStub(channel)
        caller = haul_grpc.Caller(channel, pool)
        check_sizes(caller, stub, by_key=pool is not None and pool.slot != 0)
        check_refusals(stub)


def stream(address, pool):
    with grpc.insecure_channel(address, options=UNBOUNDED) as channel:
        python_streams.call(channel, haul_grpc.Caller(channel, pool))


def main():
    role, address, *rest = sys.argv[1:]
    pool = open_pool(rest)
    {"serve": serve, "call": call, "stream": stream}[role](address, pool)
    if pool:
        pool.close()


main()
