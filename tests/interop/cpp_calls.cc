// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Shorthaul authors

// The unary calls of cpp_peer: the test service, and a list of calls of it.

#include "cpp_peer.h"
#include "transport_test.grpc.pb.h"

namespace peer
{

namespace
{

namespace pb = haul::test;

constexpr uint64_t kSizes[] = {0, 1, UINT64_C(1) << 20, 20000000, UINT64_C(64) << 20};

// A buffer that the caller lends for its answer. It goes back with the call, unless it was used.
class Loan
{
  public:
    Loan(const grpc::ServerContext &context, haul_pool *pool) : pool_(pool)
    {
        auto found = context.client_metadata().find("shorthaul-lend-bin");
        if (found != context.client_metadata().end() &&
            payload_.ParseFromArray(found->second.data(), static_cast<int>(found->second.size()))) {
            is_there_ = payload_.has_key() && payload_.key().pool_id() == haul_pool_id(pool);
        }
    }

    ~Loan()
    {
        haul_key key = KeyOf(payload_);
        if (is_there_) {
            (void)!haul_pool_revoke(pool_, &key); // or it has been claimed
        }
    }

    Loan(const Loan &) = delete;
    Loan &operator=(const Loan &) = delete;

    // nullptr if it is not large enough.
    haul_buf *Claim(uint64_t size)
    {
        haul_buf *buf = nullptr;
        haul_key key = KeyOf(payload_);
        if (is_there_ && size <= payload_.length() &&
            haul_buf_claim_empty(pool_, &key, &buf) == HAUL_OK && haul_buf_capacity(buf) < size) {
            haul_buf_release(buf);
            buf = nullptr;
        }
        return buf;
    }

  private:
    haul_pool *pool_;
    v1::Payload payload_;
    bool is_there_ = false;
};

class Calls final : public pb::TestService::Service
{
  public:
    explicit Calls(haul_pool *pool) : pool_(pool)
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
        Opened data(pool_, request->data(), Opened::kShared);
        if (!data.ok()) {
            return data.Refuse(context);
        }
        if (request->mode() == pb::MODE_FAIL) {
            return {grpc::StatusCode::FAILED_PRECONDITION, "as asked"};
        }
        if (request->mode() == pb::MODE_ECHO) {
            SetInline(response->mutable_data(), data.Bytes());
        }
        if (request->mode() == pb::MODE_PUT) {
            Put(*context, Filled(request->size(), 7), response->mutable_data());
        }
        return grpc::Status::OK;
    }

    // By key, if the caller takes gifts from our pool.
    void Put(const grpc::ServerContext &context, const std::string &bytes, v1::Payload *payload)
    {
        uint32_t slot = Recipient(context, pool_);
        if (slot == 0 || !PutBuffer(context, bytes, slot, payload)) {
            SetInline(payload, bytes);
        }
    }

    bool PutBuffer(const grpc::ServerContext &context, const std::string &bytes, uint32_t slot,
                   v1::Payload *payload)
    {
        Loan loan(context, pool_);
        haul_key key;
        haul_buf *buf = loan.Claim(bytes.size());
        return (buf != nullptr || haul_buf_alloc(pool_, bytes.size(), nullptr, &buf) == HAUL_OK) &&
               Give(buf, bytes, slot, payload, &key);
    }

    haul_pool *pool_;
};

class Client
{
  public:
    Client(const std::shared_ptr<grpc::Channel> &channel, haul_pool *pool)
        : pool_(pool), channel_(channel), stub_(pb::TestService::NewStub(channel))
    {
    }

    bool Run()
    {
        uint32_t slot = 0;
        bool right =
            Check(pool_ == nullptr || Prove(channel_, pool_, &slot), "the lane is not proven", 0);
        for (uint64_t size : kSizes) {
            right = right && Echo(size) && Put(size);
        }
        return right && Refusals();
    }

  private:
    grpc::Status Exchange(const pb::ExchangeRequest &request, pb::ExchangeResponse *response)
    {
        grpc::ClientContext context;
        Accept(&context, pool_);
        grpc::Status status = stub_->Exchange(&context, request, response);
        refused_ = Trailing(context, "shorthaul-refused") == "key";
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
            buf = Share(pool_, bytes, request.mutable_data());
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
        Opened data(pool_, response.data(), Opened::kGiven);
        return Check(data.Is(Filled(size, 7)) && response.data().has_key() == (pool_ != nullptr),
                     "not the answer", size);
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

std::unique_ptr<grpc::Service> NewCalls(haul_pool *pool)
{
    return std::make_unique<Calls>(pool);
}

bool Call(const std::shared_ptr<grpc::Channel> &channel, haul_pool *pool)
{
    return Client(channel, pool).Run();
}

} // namespace peer
