// One sidecar's worth of calls: creates, snapshots, clones, restores, expansions and deletes of its
// own volumes and of some writers' volumes.
#pragma once

#include <functional>
#include <optional>
#include <random>
#include <vector>

#include "tests/powercut/recording.h"

namespace holdfast::powercut {

class Churn {
 public:
  // Its writers are nobody else's: two calls for one volume would meet in its lock.
  Churn(Recording& recording, size_t index, std::vector<size_t> writers);
  void Run();
  absl::Status CreateFresh();
  absl::Status DeleteVolume() { return Delete(volumes_); }

 private:
  absl::Status Step();
  absl::Status SnapshotWriter();
  absl::Status SnapshotOwn();
  absl::Status Restore();
  absl::Status CloneOwn();
  absl::Status CloneWriter();
  absl::Status ExpandOwn();
  absl::Status ExpandWriter();
  absl::Status Delete(std::vector<Object*>& objects);

  absl::Status Create(Asked asked, std::optional<size_t> writer, std::optional<Origin> origin);
  absl::Status Snapshot(const std::string& volume, Facts facts, std::optional<size_t> writer);
  // Enters `after` with its span around the call. A call that was lawfully refused changed nothing.
  absl::Status Promise(Object& object, std::optional<Facts> after,
                       const std::function<absl::Status(Facts&)>& call);
  // Of an image that nobody may write.
  absl::StatusOr<std::string> DigestOf(const Object& object) const;
  static const Facts& FactsOf(const Object& object) { return *object.events.back().after; }
  uint64_t Below(uint64_t limit) { return random_() % limit; }
  template <typename T>
  T& AnyOf(std::vector<T>& items) {
    return items[Below(items.size())];
  }

  Recording& recording_;
  std::vector<size_t> writers_;
  std::mt19937_64 random_;
  std::vector<Object*> free_volumes_, free_snapshots_, volumes_, snapshots_;
};

}  // namespace holdfast::powercut
