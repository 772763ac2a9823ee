// Who stands in the way of an unmount. Best effort: they come and go while it is looked.
#pragma once

#include <string>
#include <vector>

#include "os/loops.h"
#include "os/mounts.h"

namespace holdfast {

inline constexpr size_t kMaxHolders = 8;

// "postgres (pid 4711)", "a mount at /a/b", "loop device /dev/loop3", …: what pins that mount of
// ours; when nothing is known to, what uses its filesystem. `loops`: all with their backing paths.
std::vector<std::string> HoldersOfMount(const MountEntry& entry, const std::vector<Loop>& loops);

}  // namespace holdfast
