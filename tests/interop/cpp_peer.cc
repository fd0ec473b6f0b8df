// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Shorthaul authors

// The services of the tests in stock gRPC for C++, for tests/interop.
//
//   cpp_peer serve ADDRESS [POOL participant]    serves until its standard input ends
//   cpp_peer call ADDRESS [POOL participant]     makes a list of unary calls; 0 if all was right
//   cpp_peer stream ADDRESS [POOL participant]   the same with calls that stream
//
// It shares nothing with the transport: messages are protobuf's, calls are gRPC's. By key it uses
// the pool's C library and does what docs/wire.md says by hand. If it is killed, what it owned and
// held in the pool is reaped like anybody's.

#include <climits>
#include <cstdio>
#include <cstdlib>

#include "cpp_peer.h"

namespace
{

bool Serve(const std::string &address, haul_pool *pool)
{
    std::unique_ptr<grpc::Service> services[] = {peer::NewLane(pool), peer::NewCalls(pool),
                                                 peer::NewStreams(pool)};
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(INT_MAX);
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    for (const auto &service : services) {
        builder.RegisterService(service.get());
    }
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr || std::puts("ready") < 0 || std::fflush(stdout) != 0) {
        return false;
    }
    while (std::getchar() != EOF) {
    }
    server->Shutdown(std::chrono::system_clock::now());
    return true;
}

std::shared_ptr<grpc::Channel> Connect(const std::string &address)
{
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(INT_MAX);
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

} // namespace

int main(int argc, char **argv)
{
    haul_pool *pool = nullptr;
    if (argc != 3 && argc != 5) {
        (void)std::fputs("usage: cpp_peer serve|call|stream ADDRESS [POOL participant]\n", stderr);
        return 2;
    }
    if (argc == 5 && haul_pool_open(argv[3], nullptr, &pool, nullptr) != HAUL_OK) {
        return EXIT_FAILURE;
    }
    const std::string role = argv[1];
    bool ok = role == "serve"    ? Serve(argv[2], pool)
              : role == "stream" ? peer::Stream(Connect(argv[2]), pool)
                                 : peer::Call(Connect(argv[2]), pool);
    haul_pool_close(pool);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
