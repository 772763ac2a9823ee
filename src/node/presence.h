// What the kernel says of a volume right now.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/pool.h"
#include "os/host.h"
#include "volume/volume.h"

namespace holdfast {

struct Presence {
  std::optional<Loop> loop;        // that has the image attached, in whatever namespace
  std::vector<MountEntry> mounts;  // of it in our mount namespace, publishes included

  // The mount that opens at `target`: of the whole volume, covered by nothing. Null: none.
  const MountEntry* MountAt(const std::string& target) const;
  // One of them through which the filesystem can be changed: a target may be read-only while the
  // stage is not. Null: none.
  const MountEntry* WritableMount() const;
  // The first mount at none of the two paths.
  const MountEntry* MountElsewhere(const std::string& first, const std::string& second) const;
};

// FAILED_PRECONDITION when two loop devices have the image: nobody can say what is in it then.
absl::StatusOr<Presence> AskPresence(const Pool& pool, const Volume& volume);

// Whether the device shows an image that a call of ours is making right now (work/ has it).
absl::StatusOr<bool> IsBeingMade(Host& host, const Pool& pool, const MountedDevice& device);

}  // namespace holdfast
