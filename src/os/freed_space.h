// Space of removed files, which comes back later than unlink returns.
#pragma once

#include "absl/status/status.h"
#include "os/unique_fd.h"

namespace holdfast {

// syncfs of the folder's filesystem, after which a btrfs has freed what was removed before; on XFS
// also waits for its background workers, which take some 10 µs an extent. May take seconds.
absl::Status SyncFreedSpace(const UniqueFd& folder);

}  // namespace holdfast
