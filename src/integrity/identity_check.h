// Whether an image holds the filesystem that the catalog remembers.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "os/filesystems.h"
#include "volume/volume.h"

namespace holdfast {

// DATA_LOSS, naming type and UUID expected and found, unless both are exactly as recorded. Never a
// reason to format.
absl::Status CheckIdentity(const Volume& volume, const std::optional<Superblock>& found);

// `status`, and where it is a DATA_LOSS that names no volume (a superblock that is damaged, a mount
// that the kernel refused) one sentence about this one.
absl::Status TellDamage(const Volume& volume, const absl::Status& status);

}  // namespace holdfast
