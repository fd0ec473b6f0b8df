// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Shorthaul authors
#ifndef SHORTHAUL_TESTS_INTEROP_CPP_PEER_H
#define SHORTHAUL_TESTS_INTEROP_CPP_PEER_H

// What the parts of cpp_peer share: docs/wire.md by hand, with the pool's C library.

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/service_type.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include <shorthaul/pool.h>

#include "shorthaul/v1/payload.pb.h"

namespace peer
{

namespace v1 = shorthaul::v1;

// What test_fill() and test_sum() of tests/lib make.
std::string Filled(uint64_t size, uint8_t seed);
uint64_t Sum(const void *data, uint64_t size);

// Says so on standard error if something is not right; @n says where.
bool Check(bool right, const char *what, uint64_t n);

void SetInline(v1::Payload *payload, std::string bytes);
void SetKey(v1::Payload *payload, const haul_key &key, uint64_t length);
haul_key KeyOf(const v1::Payload &payload);

// Shares a buffer with these bytes and makes the payload say so; nullptr if there is none.
haul_buf *Share(haul_pool *pool, const std::string &bytes, v1::Payload *payload);

// Gives a buffer that is filled with these bytes away; releases it if that cannot be.
bool Give(haul_buf *buf, const std::string &bytes, uint32_t slot, v1::Payload *payload,
          haul_key *out_key);

// The bytes of a payload that was received, for as long as this lives.
class Opened
{
  public:
    // Whose the buffer of a key is: still the sender's, given to us, or one of both.
    enum Means {
        kShared,
        kGiven,
        kEither
    };

    Opened(haul_pool *pool, const v1::Payload &payload, Means means);
    ~Opened();
    Opened(const Opened &) = delete;
    Opened &operator=(const Opened &) = delete;

    bool ok() const
    {
        return status_.ok();
    }
    // How a server ends the call if it is not.
    grpc::Status Refuse(grpc::ServerContext *context) const;
    bool Is(const std::string &bytes) const;
    std::string Bytes() const;
    const haul_view &view() const
    {
        return view_;
    }

  private:
    bool Attach(haul_pool *pool, const haul_key &key, uint64_t length);
    bool Claim(haul_pool *pool, const haul_key &key, uint64_t length);

    haul_buf *buf_ = nullptr;
    haul_view view_ = {};
    bool refused_ = false;
    grpc::Status status_;
};

// What one side of a stream has given to the other, and is not claimed yet.
class Window
{
  public:
    // @slot: 0 = nothing can be given.
    Window(haul_pool *pool, uint32_t slot, std::function<bool()> is_over);
    ~Window(); // takes back what is unclaimed
    Window(const Window &) = delete;
    Window &operator=(const Window &) = delete;

    // By key, within the window, or inline.
    void Put(const std::string &bytes, v1::Payload *payload);
    // Waits until all is claimed, or the call is over.
    void Settle();

  private:
    bool Wait(size_t n);

    haul_pool *pool_;
    uint32_t slot_;
    std::function<bool()> is_over_;
    std::deque<haul_key> keys_;
};

// The caller's slot in our pool, if it takes gifts from it; 0 if not.
uint32_t Recipient(const grpc::ServerContext &context, const haul_pool *pool);
void Accept(grpc::ClientContext *context, const haul_pool *pool);

// A trailing metadata entry; "" if there is none.
std::string Trailing(const grpc::ClientContext &context, const char *name);

// Whether the server reads what we write; @out_slot: its slot, 0 if it takes no gifts.
bool Prove(const std::shared_ptr<grpc::Channel> &channel, haul_pool *pool, uint32_t *out_slot);

std::unique_ptr<grpc::Service> NewLane(haul_pool *pool);
std::unique_ptr<grpc::Service> NewCalls(haul_pool *pool);
std::unique_ptr<grpc::Service> NewStreams(haul_pool *pool);

// The lists of calls; true if all was right. A pool of nullptr: all inline.
bool Call(const std::shared_ptr<grpc::Channel> &channel, haul_pool *pool);
bool Stream(const std::shared_ptr<grpc::Channel> &channel, haul_pool *pool);

} // namespace peer

#endif
