// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Shorthaul authors

// The calls of cpp_peer that stream: the stream service, and a list of calls of it.
//
// One thread reads and one writes; each message's payloads are opened as soon as it is read, which
// makes room in the sender's window.

#include <chrono>
#include <thread>

#include "cpp_peer.h"
#include "stream_test.grpc.pb.h"

namespace peer
{

namespace
{

namespace pb = haul::test;

constexpr uint64_t kSizes[] = {0, 1, 60000, UINT64_C(1) << 20, 20000000};
constexpr uint64_t kSmall = 5000;
constexpr uint64_t kMany = 200; // more than any window
constexpr auto kPatience = std::chrono::seconds(120);

class Streams final : public pb::StreamService::Service
{
  public:
    explicit Streams(haul_pool *pool) : pool_(pool)
    {
    }

  private:
    grpc::Status Upload(grpc::ServerContext *context, grpc::ServerReader<pb::Frame> *reader,
                        pb::Frame *answer) override
    {
        pb::Frame frame;
        while (reader->Read(&frame)) {
            for (const v1::Payload &payload : frame.data()) {
                Opened data(pool_, payload, Opened::kEither);
                if (!data.ok()) {
                    return data.Refuse(context);
                }
                answer->set_sum(answer->sum() + Sum(data.view().data, data.view().len));
            }
            answer->set_number(answer->number() + 1);
        }
        return grpc::Status::OK;
    }

    grpc::Status Download(grpc::ServerContext *context, const pb::Frame *request,
                          grpc::ServerWriter<pb::Frame> *writer) override
    {
        Window window(pool_, Recipient(*context, pool_), [&] { return context->IsCancelled(); });
        bool ok = true;
        for (uint64_t i = 0; i < request->count() && ok; i++) {
            pb::Frame frame;
            frame.set_number(i);
            window.Put(Filled(request->size(), static_cast<uint8_t>(i)), frame.add_data());
            ok = writer->Write(frame);
        }
        window.Settle();
        return grpc::Status::OK;
    }

    grpc::Status Chat(grpc::ServerContext *context,
                      grpc::ServerReaderWriter<pb::Frame, pb::Frame> *both) override
    {
        Window window(pool_, Recipient(*context, pool_), [&] { return context->IsCancelled(); });
        pb::Frame frame;
        while (both->Read(&frame)) {
            pb::Frame back;
            if (frame.act() == pb::ACT_FAIL) {
                return {grpc::StatusCode::ALREADY_EXISTS, "as asked"};
            }
            back.set_number(frame.number());
            for (const v1::Payload &payload : frame.data()) {
                Opened data(pool_, payload, Opened::kEither);
                if (!data.ok()) {
                    return data.Refuse(context);
                }
                window.Put(data.Bytes(), back.add_data());
            }
            if (!both->Write(back)) {
                break;
            }
        }
        window.Settle();
        return grpc::Status::OK;
    }

    grpc::Status Once(grpc::ServerContext *, const pb::Frame *request, pb::Frame *answer) override
    {
        answer->set_number(request->number() + 1);
        return grpc::Status::OK;
    }

    haul_pool *pool_;
};

// One call of the list: what it says of itself, and how it must go.
struct Attempt {
    explicit Attempt(haul_pool *pool)
    {
        context.set_deadline(std::chrono::system_clock::now() + kPatience);
        Accept(&context, pool);
    }

    // Whether the server says that all payloads went these ways.
    bool Went(const char *path) const
    {
        return Trailing(context, "shorthaul-path") == path;
    }

    grpc::ClientContext context;
};

class Client
{
  public:
    Client(const std::shared_ptr<grpc::Channel> &channel, haul_pool *pool)
        : pool_(pool), channel_(channel), stub_(pb::StreamService::NewStub(channel)),
          end_(std::chrono::steady_clock::now() + kPatience)
    {
    }

    bool Run()
    {
        return Check(pool_ == nullptr || (Prove(channel_, pool_, &slot_) && slot_ != 0),
                     "the lane is not proven", 0) &&
               Upload() && Download(40, kSmall) && Download(3, UINT64_C(1) << 20) && Chat() &&
               ChatOfTwo() && Fail() && Refusals();
    }

  private:
    const char *Way(const char *shm, const char *bytes) const
    {
        return pool_ != nullptr ? shm : bytes;
    }

    Window NewWindow() const
    {
        auto end = end_;
        return Window(pool_, slot_, [end] { return std::chrono::steady_clock::now() > end; });
    }

    bool Upload()
    {
        Attempt attempt(pool_);
        Window window = NewWindow();
        pb::Frame answer;
        uint64_t sum = 0;
        auto writer = stub_->Upload(&attempt.context, &answer);
        for (uint64_t i = 0; i < 40; i++) {
            std::string bytes = Filled(i == 7 ? kSizes[3] : kSmall - i, static_cast<uint8_t>(i));
            pb::Frame frame;
            sum += Sum(bytes.data(), bytes.size());
            window.Put(bytes, frame.add_data());
            if (!writer->Write(frame)) {
                break;
            }
        }
        writer->WritesDone();
        bool ok = writer->Finish().ok();
        return Check(ok && answer.number() == 40 && answer.sum() == sum, "not what was sent", 40) &&
               Check(attempt.Went(Way("request=shm response=none", "request=inline response=none")),
                     "an upload went another way", 40);
    }

    bool Download(uint64_t count, uint64_t size)
    {
        Attempt attempt(pool_);
        pb::Frame request;
        pb::Frame frame;
        request.set_count(count);
        request.set_size(size);
        auto reader = stub_->Download(&attempt.context, request);
        uint64_t n = 0;
        bool right = true;
        while (right && reader->Read(&frame)) {
            right = IsFrame(frame, n, Filled(size, static_cast<uint8_t>(n)));
            n++;
        }
        right = right && reader->Finish().ok();
        return Check(right && n == count, "not all that was asked for", n) &&
               Check(attempt.Went(Way("request=none response=shm", "request=none response=inline")),
                     "a download went another way", n);
    }

    bool IsFrame(const pb::Frame &frame, uint64_t number, const std::string &bytes) const
    {
        if (!Check(frame.data_size() == 1 && frame.number() == number, "another frame", number)) {
            return false;
        }
        Opened data(pool_, frame.data(0), Opened::kEither);
        bool by_key = pool_ != nullptr && !bytes.empty();
        return Check(data.Is(bytes), "other bytes", number) &&
               Check(frame.data(0).has_key() == by_key, "a frame came another way", number);
    }

    // The empty payload goes inline in any case.
    bool Chat()
    {
        Attempt attempt(pool_);
        Window window = NewWindow();
        auto both = stub_->Chat(&attempt.context);
        for (uint64_t size : kSizes) {
            pb::Frame frame;
            pb::Frame back;
            std::string bytes = Filled(size, 3);
            frame.set_number(size);
            window.Put(bytes, frame.add_data());
            if (!both->Write(frame) || !both->Read(&back) || !IsFrame(back, size, bytes)) {
                return Check(false, "a chat broke off", size);
            }
        }
        both->WritesDone();
        return Check(both->Finish().ok(), "the chat's end", 0) &&
               Check(attempt.Went(
                         Way("request=mixed response=mixed", "request=inline response=inline")),
                     "a chat went another way", 0);
    }

    // A thread each way, and both sides' windows are full at times.
    bool ChatOfTwo()
    {
        Attempt attempt(pool_);
        auto both = stub_->Chat(&attempt.context);
        std::thread writing([&] {
            Window window = NewWindow();
            for (uint64_t i = 0; i < kMany; i++) {
                pb::Frame frame;
                frame.set_number(i);
                window.Put(Filled(kSmall + i, static_cast<uint8_t>(i)), frame.add_data());
                (void)both->Write(frame);
            }
            both->WritesDone();
            window.Settle();
        });
        pb::Frame back;
        uint64_t n = 0;
        bool right = true;
        while (right && both->Read(&back)) {
            right = IsFrame(back, n, Filled(kSmall + n, static_cast<uint8_t>(n)));
            n++;
        }
        if (!right) {
            attempt.context.TryCancel();
        }
        writing.join();
        return Check(both->Finish().ok() && n == kMany, "the chat of two", n);
    }

    // How a chat of this one frame ends; whether it was refused.
    grpc::Status EndOf(const pb::Frame &frame, bool *out_refused)
    {
        Attempt attempt(pool_);
        auto both = stub_->Chat(&attempt.context);
        pb::Frame back;
        (void)both->Write(frame);
        while (both->Read(&back)) {
        }
        grpc::Status status = both->Finish();
        *out_refused = Trailing(attempt.context, "shorthaul-refused") == "key";
        return status;
    }

    bool Fail()
    {
        pb::Frame frame;
        bool refused = false;
        frame.set_act(pb::ACT_FAIL);
        grpc::Status status = EndOf(frame, &refused);
        return Check(status.error_code() == grpc::StatusCode::ALREADY_EXISTS &&
                         status.error_message() == "as asked",
                     "another status", 0);
    }

    bool Refusals()
    {
        pb::Frame frame;
        bool refused = false;
        SetKey(frame.add_data(), {1, 2, 0, 3, 4}, 5);
        grpc::Status status = EndOf(frame, &refused);
        bool right = Check(status.error_code() == grpc::StatusCode::FAILED_PRECONDITION && refused,
                           "a key of nobody's is not refused", 5);
        SetInline(frame.mutable_data(0), "bytes");
        frame.mutable_data(0)->set_length(6);
        status = EndOf(frame, &refused);
        return Check(right && status.error_code() == grpc::StatusCode::INVALID_ARGUMENT && !refused,
                     "a wrong length is not malformed", 6);
    }

    haul_pool *pool_;
    uint32_t slot_ = 0;
    std::shared_ptr<grpc::Channel> channel_;
    std::unique_ptr<pb::StreamService::Stub> stub_;
    std::chrono::steady_clock::time_point end_;
};

} // namespace

std::unique_ptr<grpc::Service> NewStreams(haul_pool *pool)
{
    return std::make_unique<Streams>(pool);
}

bool Stream(const std::shared_ptr<grpc::Channel> &channel, haul_pool *pool)
{
    return Client(channel, pool).Run();
}

} // namespace peer
