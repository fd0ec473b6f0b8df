// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Shorthaul authors

// The test service in stock gRPC for C++, for tests/interop/test_interop.c.
//
//   cpp_peer serve ADDRESS [POOL participant]   serves until its standard input ends
//   cpp_peer call ADDRESS [POOL participant]    makes the calls of the list; 0 if all was right
//
// It shares nothing with the transport: messages are protobuf's, calls are gRPC's. By key it uses
// the pool's C library and does what docs/wire.md says by hand. If it is killed, what it owned and
// held in the pool is reaped like anybody's.

#include <grpcpp/grpcpp.h>

#include <cinttypes>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <random>
#include <string>

#include <shorthaul/pool.h>

#include "shorthaul/v1/lane.grpc.pb.h"
#include "transport_test.grpc.pb.h"

namespace
{

namespace pb = haul::test;
namespace v1 = shorthaul::v1;

constexpr uint64_t kSizes[] = {0, 1, UINT64_C(1) << 20, 20000000, UINT64_C(64) << 20};
constexpr uint64_t kGiveNs = UINT64_C(60000000000);

// What test_fill() of tests/lib makes.
std::string Filled(uint64_t size, uint8_t seed)
{
    std::string bytes(size, '\0');
    for (uint64_t i = 0; i < size; i++) {
        bytes[i] = static_cast<char>(seed + i + (i >> 8));
    }
    return bytes;
}

void SetInline(v1::Payload *payload, std::string bytes)
{
    payload->set_length(bytes.size());
    payload->set_inline_(std::move(bytes));
}

void SetKey(v1::Payload *payload, const haul_key &key, uint64_t length)
{
    payload->set_length(length);
    v1::Key *k = payload->mutable_key();
    k->set_pool_id(key.pool_id);
    k->set_index(key.index);
    k->set_generation(key.generation);
    k->set_ticket(key.ticket);
    k->set_offset(key.offset);
}

haul_key KeyOf(const v1::Payload &payload)
{
    const v1::Key &k = payload.key();
    return {k.pool_id(), k.ticket(), k.offset(), k.index(), k.generation()};
}

// ---- Serving ----

class Lane final : public v1::LaneService::Service
{
  public:
    explicit Lane(haul_pool *pool) : pool_(pool)
    {
    }

  private:
    grpc::Status Probe(grpc::ServerContext *, const v1::ProbeRequest *request,
                       v1::ProbeResponse *response) override
    {
        const v1::Payload &nonce = request->nonce();
        haul_view view = {};
        if (nonce.length() < 16 || nonce.length() > 64) {
            return {grpc::StatusCode::INVALID_ARGUMENT, "a nonce has 16 to 64 bytes"};
        }
        if (pool_ != nullptr && nonce.has_key()) {
            haul_key key = KeyOf(nonce);
            response->set_attached(haul_attach(pool_, &key, nonce.length(), &view) == HAUL_OK);
            response->set_nonce(view.data, view.len);
            haul_detach(&view);
        }
        return grpc::Status::OK;
    }

    haul_pool *pool_;
};

class Service final : public pb::TestService::Service
{
  public:
    explicit Service(haul_pool *pool) : pool_(pool)
    {
    }

  private:
    grpc::Status Empty(grpc::ServerContext *, const pb::EmptyRequest *,
                       pb::EmptyResponse *) override
    {
        return grpc::Status::OK;
    }

    grpc::Status Exchange(grpc::ServerContext *context, const pb::ExchangeRequest *request,
                          pb::ExchangeResponse *response) override
    {
        const v1::Payload &data = request->data();
        if (!data.has_key() && data.length() != data.inline_().size()) {
            return {grpc::StatusCode::INVALID_ARGUMENT, "length and bytes disagree"};
        }
        haul_view view = {reinterpret_cast<const uint8_t *>(data.inline_().data()),
                          data.inline_().size(), nullptr, 0};
        if (data.has_key()) {
            haul_key key = KeyOf(data);
            if (pool_ == nullptr || haul_attach(pool_, &key, data.length(), &view) != HAUL_OK) {
                context->AddTrailingMetadata("shorthaul-refused", "key");
                return {grpc::StatusCode::FAILED_PRECONDITION, "the key cannot be attached"};
            }
        }
        grpc::Status status = Answer(context, *request, view, response);
        haul_detach(&view);
        return status;
    }

    grpc::Status Answer(grpc::ServerContext *context, const pb::ExchangeRequest &request,
                        const haul_view &view, pb::ExchangeResponse *response)
    {
        if (request.mode() == pb::MODE_FAIL) {
            return {grpc::StatusCode::FAILED_PRECONDITION, "as asked"};
        }
        if (request.mode() == pb::MODE_ECHO) {
            SetInline(response->mutable_data(),
                      std::string(reinterpret_cast<const char *>(view.data), view.len));
        }
        if (request.mode() == pb::MODE_PUT &&
            !Give(*context, request.size(), response->mutable_data())) {
            SetInline(response->mutable_data(), Filled(request.size(), 7));
        }
        return grpc::Status::OK;
    }

    // By key, if the caller takes gifts from our pool.
    bool Give(const grpc::ServerContext &context, uint64_t size, v1::Payload *payload)
    {
        auto found = context.client_metadata().find("shorthaul-accept");
        if (pool_ == nullptr || found == context.client_metadata().end()) {
            return false;
        }
        std::string accept(found->second.data(), found->second.size());
        char id[32];
        (void)std::snprintf(id, sizeof(id), "%016" PRIx64 ".", haul_pool_id(pool_));
        haul_buf *buf = nullptr;
        if (accept.compare(0, 17, id) != 0 ||
            haul_buf_alloc(pool_, size, nullptr, &buf) != HAUL_OK) {
            return false;
        }
        std::string bytes = Filled(size, 7);
        std::memcpy(haul_buf_data(buf), bytes.data(), size);
        timespec now = {};
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t until_ns = static_cast<uint64_t>(now.tv_sec) * 1000000000 + kGiveNs;
        haul_key key;
        auto slot = static_cast<uint32_t>(std::strtoul(accept.c_str() + 17, nullptr, 10));
        if (haul_buf_give(buf, size, slot, until_ns, &key) != HAUL_OK) {
            haul_buf_release(buf);
            return false;
        }
        SetKey(payload, key, size);
        return true;
    }

    haul_pool *pool_;
};

bool Serve(const std::string &address, haul_pool *pool)
{
    Lane lane(pool);
    Service service(pool);
    grpc::ServerBuilder builder;
    builder.SetMaxReceiveMessageSize(INT_MAX);
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(&lane);
    builder.RegisterService(&service);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    if (server == nullptr || std::puts("ready") < 0 || std::fflush(stdout) != 0) {
        return false;
    }
    while (std::getchar() != EOF) {
    }
    server->Shutdown(std::chrono::system_clock::now());
    return true;
}

// ---- Calling ----

bool Check(bool right, const char *what, uint64_t size)
{
    if (!right) {
        (void)std::fprintf(stderr, "cpp_peer: %s, %" PRIu64 " bytes\n", what, size);
    }
    return right;
}

class Client
{
  public:
    Client(const std::string &address, haul_pool *pool) : pool_(pool)
    {
        grpc::ChannelArguments arguments;
        arguments.SetMaxReceiveMessageSize(INT_MAX);
        channel_ =
            grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
        stub_ = pb::TestService::NewStub(channel_);
    }

    bool Run()
    {
        bool right = Check(pool_ == nullptr || Prove(), "the lane is not proven", 0);
        for (uint64_t size : kSizes) {
            right = right && Echo(size) && Put(size);
        }
        return right && Refusals();
    }

  private:
    bool Prove()
    {
        std::string nonce(32, '\0');
        std::random_device random;
        for (char &byte : nonce) {
            byte = static_cast<char>(random());
        }
        v1::ProbeRequest request;
        v1::ProbeResponse response;
        grpc::ClientContext context;
        haul_buf *buf = Share(nonce, request.mutable_nonce());
        bool ok = buf != nullptr &&
                  v1::LaneService::NewStub(channel_)->Probe(&context, request, &response).ok();
        haul_buf_release(buf);
        return ok && response.attached() && response.nonce() == nonce;
    }

    haul_buf *Share(const std::string &bytes, v1::Payload *payload)
    {
        haul_buf *buf = nullptr;
        haul_key key;
        if (haul_buf_alloc(pool_, bytes.size(), nullptr, &buf) != HAUL_OK) {
            return nullptr;
        }
        std::memcpy(haul_buf_data(buf), bytes.data(), bytes.size());
        if (haul_buf_share(buf, bytes.size(), &key) != HAUL_OK) {
            haul_buf_release(buf);
            return nullptr;
        }
        SetKey(payload, key, bytes.size());
        return buf;
    }

    grpc::Status Exchange(const pb::ExchangeRequest &request, pb::ExchangeResponse *response)
    {
        grpc::ClientContext context;
        if (pool_ != nullptr) {
            char accept[32];
            (void)std::snprintf(accept, sizeof(accept), "%016" PRIx64 ".%" PRIu32,
                                haul_pool_id(pool_), haul_pool_participant(pool_));
            context.AddMetadata("shorthaul-accept", accept);
        }
        grpc::Status status = stub_->Exchange(&context, request, response);
        auto found = context.GetServerTrailingMetadata().find("shorthaul-refused");
        refused_ = found != context.GetServerTrailingMetadata().end() && found->second == "key";
        return status;
    }

    bool Echo(uint64_t size)
    {
        std::string bytes = Filled(size, 1);
        pb::ExchangeRequest request;
        pb::ExchangeResponse response;
        haul_buf *buf = nullptr;
        request.set_mode(pb::MODE_ECHO);
        if (pool_ == nullptr) {
            SetInline(request.mutable_data(), bytes);
        } else {
            buf = Share(bytes, request.mutable_data());
        }
        bool ok = Exchange(request, &response).ok();
        haul_buf_release(buf);
        return Check(ok && response.data().inline_() == bytes, "not what was sent", size);
    }

    bool Put(uint64_t size)
    {
        pb::ExchangeRequest request;
        pb::ExchangeResponse response;
        request.set_mode(pb::MODE_PUT);
        request.set_size(size);
        if (!Check(Exchange(request, &response).ok(), "no answer", size)) {
            return false;
        }
        bool right = pool_ == nullptr ? response.data().inline_() == Filled(size, 7)
                                      : ClaimFilled(response.data(), size);
        return Check(right, "not the answer", size);
    }

    bool ClaimFilled(const v1::Payload &payload, uint64_t size)
    {
        haul_key key = KeyOf(payload);
        haul_buf *buf = nullptr;
        haul_view view = {};
        if (!payload.has_key() || payload.length() != size ||
            haul_buf_claim(pool_, &key, size, &buf) != HAUL_OK) {
            return false;
        }
        bool right = haul_buf_view(buf, &view) == HAUL_OK && view.len == size &&
                     std::memcmp(view.data, Filled(size, 7).data(), size) == 0;
        haul_detach(&view);
        haul_buf_release(buf);
        return right;
    }

    bool Refusals()
    {
        pb::ExchangeRequest request;
        pb::ExchangeResponse response;
        SetKey(request.mutable_data(), {1, 2, 0, 3, 4}, 5);
        grpc::Status status = Exchange(request, &response);
        bool right = Check(status.error_code() == grpc::StatusCode::FAILED_PRECONDITION && refused_,
                           "a key of nobody's is not refused", 5);
        SetInline(request.mutable_data(), "bytes");
        request.mutable_data()->set_length(6);
        status = Exchange(request, &response);
        return Check(right && status.error_code() == grpc::StatusCode::INVALID_ARGUMENT &&
                         !refused_,
                     "a wrong length is not malformed", 6);
    }

    haul_pool *pool_;
    std::shared_ptr<grpc::Channel> channel_;
    std::unique_ptr<pb::TestService::Stub> stub_;
    bool refused_ = false;
};

} // namespace

int main(int argc, char **argv)
{
    haul_pool *pool = nullptr;
    if (argc != 3 && argc != 5) {
        (void)std::fputs("usage: cpp_peer serve|call ADDRESS [POOL participant]\n", stderr);
        return 2;
    }
    if (argc == 5 && haul_pool_open(argv[3], nullptr, &pool, nullptr) != HAUL_OK) {
        return EXIT_FAILURE;
    }
    bool ok =
        std::strcmp(argv[1], "serve") == 0 ? Serve(argv[2], pool) : Client(argv[2], pool).Run();
    haul_pool_close(pool);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
