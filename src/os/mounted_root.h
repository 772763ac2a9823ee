// Any descriptor of a mount's root, as something that ioctls work on.
#pragma once

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace holdfast {

// "." of `root`, opened for reading: fsmount and open_tree give O_PATH descriptors.
absl::StatusOr<UniqueFd> OpenRoot(const UniqueFd& root);

}  // namespace holdfast
