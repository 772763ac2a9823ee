// The parts of a row that no query asks for, as JSON text (docs/on-disk-format.md, "details").
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "volume/snapshot.h"
#include "volume/volume.h"

namespace holdfast {

// In the details of a volume that is being expanded alone.
inline constexpr char kGrowingTo[] = "growingTo";
// In those of one that is being copied from another node alone.
inline constexpr char kCopyOf[] = "copyOf";
inline constexpr char kCopiedBytes[] = "copiedBytes";

std::string VolumeDetails(const Volume& volume);
std::string SnapshotDetails(const Snapshot& snapshot);

// Fill in what the details hold. INVALID_ARGUMENT, saying what, when they are not what the
// functions above write.
absl::Status ParseVolumeDetails(const std::string& text, Volume& volume);
absl::Status ParseSnapshotDetails(const std::string& text, Snapshot& snapshot);

}  // namespace holdfast
