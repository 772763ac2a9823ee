#include "bench/volume_pairs.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <vector>

#include "base/status_macros.h"
#include "bench/clients.h"
#include "bench/machine.h"

namespace holdfast::bench {
namespace {

// One call at a time, whose end comes out of the queue with the client as its tag.
class Client {
 public:
  Client(Driver& driver, const VolumeWish& wish, grpc::CompletionQueue& queue)
      : driver_(driver), wish_(wish), queue_(queue) {}

  void Create() {
    wish_.name = NewName();
    const auto request = driver_.CreateRequest(wish_);
    context_ = std::make_unique<grpc::ClientContext>();
    deletion_ = nullptr;
    creation_ = driver_.controller().AsyncCreateVolume(context_.get(), request, &queue_);
    creation_->Finish(&created_, &ended_, this);
  }

  // After the end of a call: begins the delete of what was created; false when that has ended too.
  absl::StatusOr<bool> Continue() {
    if (deletion_ != nullptr) {
      RETURN_IF_ERROR(StatusOfCall("DeleteVolume", ended_));
      return false;
    }
    RETURN_IF_ERROR(StatusOfCall("CreateVolume", ended_));
    csi::v1::DeleteVolumeRequest request;
    request.set_volume_id(created_.volume().volume_id());
    context_ = std::make_unique<grpc::ClientContext>();
    deletion_ = driver_.controller().AsyncDeleteVolume(context_.get(), request, &queue_);
    deletion_->Finish(&deleted_, &ended_, this);
    return true;
  }

 private:
  Driver& driver_;
  VolumeWish wish_;
  grpc::CompletionQueue& queue_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<csi::v1::CreateVolumeResponse>> creation_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<csi::v1::DeleteVolumeResponse>> deletion_;
  csi::v1::CreateVolumeResponse created_;
  csi::v1::DeleteVolumeResponse deleted_;
  grpc::Status ended_;
};

}  // namespace

absl::StatusOr<double> PairsPerSecond(Driver& driver, const VolumeWish& wish,
                                      std::chrono::milliseconds length) {
  const Stopwatch watch;
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<Client>> clients;
  for (size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<Client>(driver, wish, queue));
    clients.back()->Create();
  }
  uint64_t pairs = 0;
  absl::Status first;
  size_t busy = kClients;
  while (busy > 0) {
    void* tag = nullptr;
    bool ignored = false;  // of a call that ends it is always true
    queue.Next(&tag, &ignored);
    auto* const client = static_cast<Client*>(tag);
    const absl::StatusOr<bool> more = client->Continue();
    first.Update(more.status());
    if (more.ok() && *more) continue;
    if (more.ok()) ++pairs;
    const bool over = watch.Milliseconds() >= static_cast<double>(length.count());
    if (over || !first.ok()) {
      --busy;
    } else {
      client->Create();
    }
  }
  const double milliseconds = watch.Milliseconds();
  queue.Shutdown();
  RETURN_IF_ERROR(first);
  return static_cast<double>(pairs) * 1000 / milliseconds;
}

}  // namespace holdfast::bench
