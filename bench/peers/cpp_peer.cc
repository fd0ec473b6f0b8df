// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Shorthaul authors

// The baseline of the end-to-end benchmark: the same service, served and called with gRPC's own C++
// stubs, the bytes in the message.
//
//   bench_cpp_peer server ADDRESS
//   bench_cpp_peer client ADDRESS BYTES
//
// Either one ends with its standard input. The client makes one call for each byte it reads: 'h' is
// a hand-over, of a message that is ready, of which the server reads two bytes; 'w' fills the
// message first and the server reads all of it. It answers with two 64-bit numbers, the
// nanoseconds it took and the sum that came back.

#include <grpcpp/grpcpp.h>

#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "bench.grpc.pb.h"
#include "bench.h"

namespace
{

class Service final : public bench::v1::BenchService::Service
{
    grpc::Status Touch(grpc::ServerContext *, const bench::v1::TouchRequest *request,
                       bench::v1::TouchResponse *response) override
    {
        const std::string &data = request->data().inline_();
        response->set_sum(bench_touch(data.data(), data.size(), request->whole()));
        return grpc::Status::OK;
    }
};

int Serve(const std::string &address)
{
    Service service;
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(INT_MAX);
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(&service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr) {
        (void)std::fprintf(stderr, "bench_cpp_peer: cannot listen on %s\n", address.c_str());
        return EXIT_FAILURE;
    }
    if (bench_peer_say_ready()) {
        bench_peer_wait_for_end();
    }
    server->Shutdown();
    return EXIT_SUCCESS;
}

class Client
{
  public:
    Client(const std::string &address, size_t n_bytes) : source_(n_bytes, '\0')
    {
        grpc::ChannelArguments arguments;
        arguments.SetMaxSendMessageSize(INT_MAX);
        stub_ = bench::v1::BenchService::NewStub(
            grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
        bench_fill(source_.data(), source_.size());
        Fill();
    }

    bool Call(bool whole, uint64_t answer[2])
    {
        uint64_t start_ns = bench_now_ns();
        if (whole) {
            Fill();
        }
        request_.set_whole(whole);
        grpc::ClientContext context;
        bench::v1::TouchResponse response;
        grpc::Status status = stub_->Touch(&context, request_, &response);
        answer[0] = bench_now_ns() - start_ns;
        answer[1] = response.sum();
        if (!status.ok()) {
            (void)std::fprintf(stderr, "bench_cpp_peer: %s\n", status.error_message().c_str());
        }
        return status.ok();
    }

  private:
    void Fill()
    {
        request_.mutable_data()->set_inline_(source_);
        request_.mutable_data()->set_length(source_.size());
    }

    std::string source_;
    std::unique_ptr<bench::v1::BenchService::Stub> stub_;
    bench::v1::TouchRequest request_;
};

int CallOnDemand(const std::string &address, size_t n_bytes)
{
    Client client(address, n_bytes);
    bool ok = bench_peer_say_ready();
    char kind = 0;
    while (ok && bench_read_all(0, &kind, 1)) {
        uint64_t answer[2];
        ok = client.Call(kind == 'w', answer) && bench_write_all(1, answer, sizeof(answer));
    }
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace

int main(int argc, char **argv)
{
    bench_catch_signals();
    if (argc == 3 && std::strcmp(argv[1], "server") == 0) {
        return Serve(argv[2]);
    }
    if (argc == 4 && std::strcmp(argv[1], "client") == 0) {
        return CallOnDemand(argv[2], std::strtoull(argv[3], nullptr, 10));
    }
    (void)std::fputs("usage: bench_cpp_peer server ADDRESS | client ADDRESS BYTES\n", stderr);
    return 2;
}
