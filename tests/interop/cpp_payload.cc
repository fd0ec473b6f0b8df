// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Shorthaul authors

// Payloads, gifts and the lane, as docs/wire.md has them. A process that dies here leaves what any
// participant leaves.

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>

#include "cpp_peer.h"
#include "shorthaul/v1/lane.grpc.pb.h"

namespace peer
{

namespace
{

constexpr uint64_t kGiveNs = UINT64_C(60000000000);
constexpr size_t kWindow = 16;
constexpr int64_t kLookNs = 20000000;

uint64_t AfterNs(uint64_t ns)
{
    timespec now = {};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec) + ns;
}

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
            response->set_participant(haul_pool_participant(pool_));
            response->set_nonce(view.data, view.len);
            haul_detach(&view);
        }
        return grpc::Status::OK;
    }

    haul_pool *pool_;
};

} // namespace

std::string Filled(uint64_t size, uint8_t seed)
{
    std::string bytes(size, '\0');
    for (uint64_t i = 0; i < size; i++) {
        bytes[i] = static_cast<char>(seed + i + (i >> 8));
    }
    return bytes;
}

uint64_t Sum(const void *data, uint64_t size)
{
    const auto *bytes = static_cast<const uint8_t *>(data);
    uint64_t sum = UINT64_C(14695981039346656037) ^ size;
    for (uint64_t i = 0; i < size; i++) {
        sum = (sum ^ bytes[i]) * UINT64_C(1099511628211);
    }
    return sum;
}

bool Check(bool right, const char *what, uint64_t n)
{
    if (!right) {
        (void)std::fprintf(stderr, "cpp_peer: %s, %" PRIu64 "\n", what, n);
    }
    return right;
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

haul_buf *Share(haul_pool *pool, const std::string &bytes, v1::Payload *payload)
{
    haul_buf *buf = nullptr;
    haul_key key;
    if (haul_buf_alloc(pool, bytes.size(), nullptr, &buf) != HAUL_OK) {
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

bool Give(haul_buf *buf, const std::string &bytes, uint32_t slot, v1::Payload *payload,
          haul_key *out_key)
{
    std::memcpy(haul_buf_data(buf), bytes.data(), bytes.size());
    if (haul_buf_give(buf, bytes.size(), slot, AfterNs(kGiveNs), out_key) != HAUL_OK) {
        haul_buf_release(buf);
        return false;
    }
    SetKey(payload, *out_key, bytes.size());
    return true;
}

// ---- Receiving ----

Opened::Opened(haul_pool *pool, const v1::Payload &payload, Means means)
{
    if (!payload.has_key()) {
        view_.data = reinterpret_cast<const uint8_t *>(payload.inline_().data());
        view_.len = payload.inline_().size();
        if (view_.len != payload.length()) {
            status_ = {grpc::StatusCode::INVALID_ARGUMENT, "length and bytes disagree"};
        }
        return;
    }
    haul_key key = KeyOf(payload);
    bool found = pool != nullptr && ((means != kShared && Claim(pool, key, payload.length())) ||
                                     (means != kGiven && Attach(pool, key, payload.length())));
    if (!found) {
        refused_ = true;
        status_ = {grpc::StatusCode::FAILED_PRECONDITION, "the key cannot be attached"};
    }
}

Opened::~Opened()
{
    haul_detach(&view_);
    haul_buf_release(buf_);
}

bool Opened::Attach(haul_pool *pool, const haul_key &key, uint64_t length)
{
    return haul_attach(pool, &key, length, &view_) == HAUL_OK;
}

bool Opened::Claim(haul_pool *pool, const haul_key &key, uint64_t length)
{
    return haul_buf_claim(pool, &key, length, &buf_) == HAUL_OK &&
           haul_buf_view(buf_, &view_) == HAUL_OK && view_.len == length;
}

grpc::Status Opened::Refuse(grpc::ServerContext *context) const
{
    if (refused_) {
        context->AddTrailingMetadata("shorthaul-refused", "key");
    }
    return status_;
}

bool Opened::Is(const std::string &bytes) const
{
    return ok() && view_.len == bytes.size() &&
           std::memcmp(view_.data, bytes.data(), bytes.size()) == 0;
}

std::string Opened::Bytes() const
{
    return std::string(reinterpret_cast<const char *>(view_.data), view_.len);
}

// ---- Sending on streams ----

Window::Window(haul_pool *pool, uint32_t slot, std::function<bool()> is_over)
    : pool_(pool), slot_(slot), is_over_(std::move(is_over))
{
}

Window::~Window()
{
    for (const haul_key &key : keys_) {
        (void)!haul_pool_revoke(pool_, &key); // or it has been claimed
    }
}

// Until no more than @n are unclaimed; false if the call is over first.
bool Window::Wait(size_t n)
{
    while (!keys_.empty()) {
        bool enough = keys_.size() <= n;
        if (haul_pool_wait_claimed(pool_, &keys_.front(), enough ? 0 : kLookNs) != HAUL_TIMEOUT) {
            keys_.pop_front();
        } else if (enough) {
            return true;
        } else if (is_over_()) {
            return false;
        }
    }
    return true;
}

void Window::Put(const std::string &bytes, v1::Payload *payload)
{
    haul_alloc_opts wait = {};
    wait.struct_size = sizeof(wait);
    wait.policy = HAUL_ALLOC_DEFAULT;
    wait.wait_ns = kLookNs;
    haul_buf *buf = nullptr;
    haul_key key;
    if (slot_ != 0 && !bytes.empty() && Wait(kWindow - 1)) {
        while (haul_buf_alloc(pool_, bytes.size(), &wait, &buf) == HAUL_TIMEOUT && !is_over_()) {
        }
    }
    if (buf != nullptr && Give(buf, bytes, slot_, payload, &key)) {
        keys_.push_back(key);
    } else {
        SetInline(payload, bytes);
    }
}

void Window::Settle()
{
    (void)Wait(0);
}

// ---- Who takes what ----

uint32_t Recipient(const grpc::ServerContext &context, const haul_pool *pool)
{
    auto found = context.client_metadata().find("shorthaul-accept");
    if (pool == nullptr || found == context.client_metadata().end()) {
        return 0;
    }
    std::string accept(found->second.data(), found->second.size());
    char id[32];
    (void)std::snprintf(id, sizeof(id), "%016" PRIx64 ".", haul_pool_id(pool));
    return accept.compare(0, 17, id) == 0
               ? static_cast<uint32_t>(std::strtoul(accept.c_str() + 17, nullptr, 10))
               : 0;
}

void Accept(grpc::ClientContext *context, const haul_pool *pool)
{
    if (pool != nullptr) {
        char accept[32];
        (void)std::snprintf(accept, sizeof(accept), "%016" PRIx64 ".%" PRIu32, haul_pool_id(pool),
                            haul_pool_participant(pool));
        context->AddMetadata("shorthaul-accept", accept);
    }
}

std::string Trailing(const grpc::ClientContext &context, const char *name)
{
    auto found = context.GetServerTrailingMetadata().find(name);
    return found == context.GetServerTrailingMetadata().end()
               ? std::string()
               : std::string(found->second.data(), found->second.size());
}

bool Prove(const std::shared_ptr<grpc::Channel> &channel, haul_pool *pool, uint32_t *out_slot)
{
    std::string nonce(32, '\0');
    std::random_device random;
    for (char &byte : nonce) {
        byte = static_cast<char>(random());
    }
    v1::ProbeRequest request;
    v1::ProbeResponse response;
    grpc::ClientContext context;
    haul_buf *buf = Share(pool, nonce, request.mutable_nonce());
    bool ok = buf != nullptr &&
              v1::LaneService::NewStub(channel)->Probe(&context, request, &response).ok();
    haul_buf_release(buf);
    *out_slot = response.participant();
    return ok && response.attached() && response.nonce() == nonce;
}

std::unique_ptr<grpc::Service> NewLane(haul_pool *pool)
{
    return std::make_unique<Lane>(pool);
}

} // namespace peer
