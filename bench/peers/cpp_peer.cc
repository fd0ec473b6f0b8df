// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Shorthaul authors

// The baseline of the end-to-end benchmark: the same service, served and called with gRPC's own C++
// stubs, the bytes in the message.
//
//   bench_cpp_peer server ADDRESS
//   bench_cpp_peer client ADDRESS BYTES
//
// Either one ends with its standard input. The client does what it is told there: see
// bench/e2e/order.h.

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench.grpc.pb.h"
#include "bench.h"
#include "order.h"

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

    // One call; how long it took and the sum that came back.
    bool Call(uint64_t kind, uint64_t &ns, uint64_t &sum)
    {
        uint64_t start_ns = bench_now_ns();
        bool whole = kind == E2E_ORDER_WHOLE;
        if (whole) {
            Fill();
        }
        request_.set_whole(whole);
        bool ok = Send(kind == E2E_ORDER_EMPTY ? empty_ : request_, sum);
        ns = bench_now_ns() - start_ns;
        return ok;
    }

    // Empty calls from as many threads; the calls they have made and the time that took.
    bool CallAtOnce(const e2e_order &order, uint64_t &ns, uint64_t &calls)
    {
        std::atomic<uint64_t> n{0};
        std::atomic<bool> ok{true};
        std::vector<std::thread> threads;
        uint64_t start_ns = bench_now_ns();
        for (uint64_t i = 0; i < order.n; i++) {
            threads.emplace_back([&] {
                uint64_t mine = 0;
                uint64_t sum = 0;
                while (ok && bench_now_ns() - start_ns < order.duration_ns) {
                    ok = Send(empty_, sum) && ok;
                    mine++;
                }
                n += mine;
            });
        }
        for (std::thread &thread : threads) {
            thread.join();
        }
        ns = bench_now_ns() - start_ns;
        calls = n;
        return ok;
    }

  private:
    bool Send(const bench::v1::TouchRequest &request, uint64_t &sum)
    {
        grpc::ClientContext context;
        bench::v1::TouchResponse response;
        grpc::Status status = stub_->Touch(&context, request, &response);
        sum = response.sum();
        if (!status.ok()) {
            (void)std::fprintf(stderr, "bench_cpp_peer: %s\n", status.error_message().c_str());
        }
        return status.ok();
    }

    void Fill()
    {
        request_.mutable_data()->set_inline_(source_);
        request_.mutable_data()->set_length(source_.size());
    }

    std::string source_;
    std::unique_ptr<bench::v1::BenchService::Stub> stub_;
    bench::v1::TouchRequest request_;
    bench::v1::TouchRequest empty_;
};

bool Obey(Client &client, const e2e_order &order)
{
    if (order.kind == E2E_ORDER_CALLERS) {
        uint64_t answer[2];
        return client.CallAtOnce(order, answer[0], answer[1]) &&
               bench_write_all(1, answer, sizeof(answer));
    }
    if (order.kind == E2E_ORDER_USAGE) {
        bench_usage usage;
        return bench_usage_self(&usage) && bench_write_all(1, &usage, sizeof(usage));
    }
    std::vector<uint64_t> answer(1 + order.n);
    bool ok = true;
    for (uint64_t i = 0; ok && i < order.n; i++) {
        ok = client.Call(order.kind, answer[1 + i], answer[0]);
    }
    return ok && bench_write_all(1, answer.data(), answer.size() * sizeof(answer[0]));
}

int CallOnDemand(const std::string &address, size_t n_bytes)
{
    Client client(address, n_bytes);
    bool ok = bench_peer_say_ready();
    e2e_order order;
    while (ok && bench_read_all(0, &order, sizeof(order))) {
        ok = Obey(client, order);
    }
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

} // namespace

int main(int argc, char **argv)
{
    bench_keep_heap();
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
