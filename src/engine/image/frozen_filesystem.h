// A filesystem that is frozen for a cut, and always thawed.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "os/host.h"

namespace holdfast {

// Writers of a frozen filesystem cannot be killed, so: it is recorded in the run folder before it
// happens (the next start thaws it), a watchdog thread thaws it at the deadline whatever the owner
// does, and the destructor thaws it. Owned by one thread.
class FrozenFilesystem {
 public:
  // `target`: a mount of the filesystem.
  static absl::StatusOr<std::unique_ptr<FrozenFilesystem>> Freeze(
      Host& host, const std::string& target, std::chrono::milliseconds deadline);
  ~FrozenFilesystem();
  FrozenFilesystem(const FrozenFilesystem&) = delete;
  FrozenFilesystem& operator=(const FrozenFilesystem&) = delete;

  const UniqueFd& root() const { return root_; }
  // DEADLINE_EXCEEDED or ABORTED when it was no longer frozen: what was cut meanwhile is not
  // consistent. A second call gives the same answer.
  absl::Status Thaw();

 private:
  FrozenFilesystem(Host& host, std::string target, uint64_t device)
      : host_(host), target_(std::move(target)), device_(device) {}
  void Watch(std::chrono::milliseconds deadline);
  absl::Status KeepThawing();

  Host& host_;
  const std::string target_;
  const uint64_t device_;
  UniqueFd root_;
  std::mutex mutex_;
  std::condition_variable done_changed_;
  bool done_ = true;      // guarded by mutex_: whoever sets it thaws
  absl::Status outcome_;  // guarded by mutex_: of the thaw
  std::thread watchdog_;
};

// Thaws what a dead process left frozen. The very first act of a start.
absl::Status ThawLeftovers(Host& host);

}  // namespace holdfast
