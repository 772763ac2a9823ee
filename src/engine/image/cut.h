// A cut of a volume at one moment: the reflink copy that snapshots and clones are made of.
#pragma once

#include <chrono>
#include <optional>

#include "absl/status/statusor.h"
#include "engine/image/pool.h"
#include "volume/snapshot.h"

namespace holdfast {

struct Cut {
  UniqueFd image;  // work/<incarnation>.img, not yet durable
  Consistency consistency = Consistency::kOffline;
  std::optional<RootAttributes> root;  // as it was at the cut; nullopt: not known
  bool root_may_differ = false;        // as Snapshot::root_may_differ
};

// FAILED_PRECONDITION, in the words of its refusal, for a volume whose last stage was refused: what
// nobody is to see is not to be seen in a copy.
absl::Status CheckNotRefused(const Volume& volume);

// Freezes the filesystem when it is mounted, flushes the device when it is raw block in use, and
// copies. FAILED_PRECONDITION when the image is attached but mounted nowhere we can freeze it.
// The caller holds the volume's lock and has recorded the intent.
absl::StatusOr<Cut> CutVolume(Pool& pool, const Volume& volume, const UniqueFd& source,
                              const std::string& incarnation, std::chrono::milliseconds deadline);

}  // namespace holdfast
