// What the kernel says of a volume right now.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/host.h"
#include "volume/volume.h"

namespace holdfast {

struct Presence {
  FileFacts image;
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

// `image`: device and inode suffice. FAILED_PRECONDITION when two loop devices have the image:
// nobody can say what is in it then.
absl::StatusOr<Presence> AskPresence(Host& host, const Volume& volume, const FileFacts& image);

}  // namespace holdfast
