#include "engine/image/frozen_filesystem.h"

#include <fmt/format.h>

#include "base/status_macros.h"

namespace holdfast {

absl::StatusOr<std::unique_ptr<FrozenFilesystem>> FrozenFilesystem::Freeze(
    Host& host, const std::string& target, std::chrono::milliseconds deadline) {
  std::unique_ptr<FrozenFilesystem> frozen(new FrozenFilesystem(host, target));
  ASSIGN_OR_RETURN(frozen->root_, host.OpenMount(target));
  RETURN_IF_ERROR(host.RecordFreeze(target));
  const absl::Status status = host.Freeze(frozen->root_);
  if (!status.ok()) {
    frozen->done_ = true;
    host.ForgetFreeze(target).IgnoreError();  // a stale record only costs a needless thaw
    return status;
  }
  frozen->watchdog_ = std::thread([self = frozen.get(), deadline] { self->Watch(deadline); });
  return frozen;
}

void FrozenFilesystem::Watch(std::chrono::milliseconds deadline) {
  std::unique_lock lock(mutex_);
  if (done_changed_.wait_for(lock, deadline, [this] { return done_; })) return;
  done_ = true;
  // Nobody can be told here; the owner learns it from Thaw.
  host_.Thaw(root_).IgnoreError();
}

absl::Status FrozenFilesystem::Thaw() {
  absl::Status result;
  {
    const std::lock_guard lock(mutex_);
    if (done_) {
      result = absl::DeadlineExceededError(
          fmt::format("freeze of {}: expected to be frozen until the cut was made, found thawed at "
                      "its deadline; the node is slow, try again",
                      target_));
    } else {
      done_ = true;
      const auto thawed = host_.Thaw(root_);
      if (!thawed.ok()) {
        result = thawed.status();
      } else if (!*thawed) {
        result = absl::AbortedError(
            fmt::format("freeze of {}: expected to be frozen until the cut was made, found thawed "
                        "by somebody else; try again",
                        target_));
      }
    }
  }
  done_changed_.notify_all();
  if (watchdog_.joinable()) watchdog_.join();
  const absl::Status forgotten = host_.ForgetFreeze(target_);
  return result.ok() ? forgotten : result;
}

FrozenFilesystem::~FrozenFilesystem() {
  {
    const std::lock_guard lock(mutex_);
    if (done_ && !watchdog_.joinable()) return;
  }
  Thaw().IgnoreError();  // on an error path: that error is the one that is told
}

absl::Status ThawLeftovers(Host& host) {
  ASSIGN_OR_RETURN(const auto targets, host.RecordedFreezes());
  for (const std::string& target : targets) {
    // The mount may be gone by now, then nothing is frozen.
    const auto root = host.OpenMount(target);
    if (root.ok()) RETURN_IF_ERROR(host.Thaw(*root).status());
    RETURN_IF_ERROR(host.ForgetFreeze(target));
  }
  return absl::OkStatus();
}

}  // namespace holdfast
