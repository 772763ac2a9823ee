#include "engine/image/frozen_filesystem.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/status_macros.h"

namespace holdfast {
namespace {

constexpr int kThawAttempts = 10;

absl::Status ThawRecorded(Host& host, uint64_t device) {
  RETURN_IF_ERROR(host.ThawDevice(device).status());
  return host.ForgetFreeze(device);
}

// A thaw that failed before left its record.
absl::Status ThawLeftover(Host& host, uint64_t device) {
  ASSIGN_OR_RETURN(const auto recorded, host.RecordedFreezes());
  const bool left = std::find(recorded.begin(), recorded.end(), device) != recorded.end();
  return left ? ThawRecorded(host, device) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<FrozenFilesystem>> FrozenFilesystem::Freeze(
    Host& host, const std::string& target, std::chrono::milliseconds deadline) {
  ASSIGN_OR_RETURN(const auto mount, host.MountedAt(target));
  if (!mount) {
    return absl::FailedPreconditionError(
        fmt::format("freeze of {}: expected a mount, found none", target));
  }
  const uint64_t device = mount->device;
  std::unique_ptr<FrozenFilesystem> frozen(new FrozenFilesystem(host, target, device));
  ASSIGN_OR_RETURN(frozen->root_, host.OpenMount(target));
  RETURN_IF_ERROR(ThawLeftover(host, device));
  RETURN_IF_ERROR(host.RecordFreeze(device));
  const absl::Status status = host.Freeze(frozen->root_);
  if (!status.ok()) {
    host.ForgetFreeze(device).IgnoreError();  // a stale record only costs a needless thaw
    return status;
  }
  frozen->done_ = false;
  frozen->watchdog_ = std::thread([self = frozen.get(), deadline] { self->Watch(deadline); });
  return frozen;
}

void FrozenFilesystem::Watch(std::chrono::milliseconds deadline) {
  std::unique_lock lock(mutex_);
  if (done_changed_.wait_for(lock, deadline, [this] { return done_; })) return;
  done_ = true;
  outcome_ = absl::DeadlineExceededError(
      fmt::format("freeze of {}: expected the cut within {} ms, found it still being made; the "
                  "pool's disk is slow, try again",
                  target_, deadline.count()));
  KeepThawing().IgnoreError();  // the owner is told that the deadline passed
}

absl::Status FrozenFilesystem::KeepThawing() {
  absl::StatusOr<bool> thawed;
  for (int attempt = 0; attempt < kThawAttempts; ++attempt) {
    thawed = host_.Thaw(root_);
    if (thawed.ok()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(1) * attempt);
  }
  // The record stays while it may be frozen: the next freeze or start thaws it.
  RETURN_IF_ERROR(thawed.status());
  RETURN_IF_ERROR(host_.ForgetFreeze(device_));
  if (*thawed) return absl::OkStatus();
  return absl::AbortedError(
      fmt::format("freeze of {}: expected to be frozen until the cut was made, found thawed by "
                  "somebody else; try again",
                  target_));
}

absl::Status FrozenFilesystem::Thaw() {
  {
    const std::lock_guard lock(mutex_);
    if (!done_) {
      done_ = true;
      outcome_ = KeepThawing();
    }
  }
  done_changed_.notify_all();
  if (watchdog_.joinable()) watchdog_.join();
  return outcome_;
}

FrozenFilesystem::~FrozenFilesystem() {
  Thaw().IgnoreError();  // on an error path: that error is the one that is told
}

absl::Status ThawLeftovers(Host& host) {
  ASSIGN_OR_RETURN(const auto devices, host.RecordedFreezes());
  for (const uint64_t device : devices) RETURN_IF_ERROR(ThawRecorded(host, device));
  return absl::OkStatus();
}

}  // namespace holdfast
