// The programs of btrfs-progs.
#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "os/command.h"

namespace holdfast {

// Whether a program gave up before it changed or judged anything, because it could not tell whether
// the image is mounted: a loop device in the mount table was detached while it looked.
bool CouldNotReadMounts(std::string_view output);

// Run, and again for about a second when it could not read the mounts: other volumes come and go.
absl::StatusOr<CommandResult> RunBtrfs(const Command& command);

}  // namespace holdfast
