// What stopping volumes would still write into their pool.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/host.h"
#include "volume/volume.h"

namespace holdfast {

// Knows from which devices volumes are mounted, for those whose stop flushes what is dirty. All
// methods may be called at once.
class DirtyData {
 public:
  // `loop` is what the volume will be, or is, mounted from.
  void Note(const Volume& volume, const Loop& loop);
  // Forgets all but these.
  void Keep(const std::vector<Volume>& volumes);
  // Bytes dirty above their devices: at most so much is written when they are stopped. All of the
  // machine's when one's device is not known.
  absl::StatusOr<uint64_t> BytesOf(Host& host, const std::vector<Volume>& volumes) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Loop> loops_;  // by incarnation
};

}  // namespace holdfast
