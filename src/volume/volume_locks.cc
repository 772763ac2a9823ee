#include "volume/volume_locks.h"

#include <utility>

#include <fmt/format.h>

namespace holdfast {

VolumeLocks::Guard::Guard(Guard&& other) noexcept
    : locks_(std::exchange(other.locks_, nullptr)), key_(std::move(other.key_)) {}

VolumeLocks::Guard::~Guard() {
  if (locks_ == nullptr) return;
  const std::lock_guard<std::mutex> lock(locks_->mutex_);
  locks_->held_.erase(key_);
}

absl::StatusOr<VolumeLocks::Guard> VolumeLocks::TryLock(const std::string& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!held_.insert(key).second) {
    return absl::AbortedError(fmt::format(
        "another operation on {} is under way: expected to be the only one; try again", key));
  }
  return Guard(this, key);
}

}  // namespace holdfast
