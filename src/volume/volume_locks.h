// One operation at a time on a volume or snapshot.
#pragma once

#include <mutex>
#include <string>
#include <unordered_set>

#include "absl/status/statusor.h"

namespace holdfast {

// Thread-safe. Never blocks: the second caller is told ABORTED and comes again (CSI spec,
// "Concurrency"). Keys are name hashes, so that Create(name) and Delete(id) exclude each other.
class VolumeLocks {
 public:
  // Releases the key at scope end. Must not outlive its VolumeLocks.
  class Guard {
   public:
    Guard(Guard&& other) noexcept;
    Guard& operator=(Guard&&) = delete;
    ~Guard();

   private:
    friend class VolumeLocks;
    Guard(VolumeLocks* locks, std::string key) : locks_(locks), key_(std::move(key)) {}
    VolumeLocks* locks_;  // null when moved from
    std::string key_;
  };

  // ABORTED when another operation holds `key`.
  absl::StatusOr<Guard> TryLock(const std::string& key);

 private:
  std::mutex mutex_;
  std::unordered_set<std::string> held_;
};

}  // namespace holdfast
