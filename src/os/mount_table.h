// The kernel's mount table, read by libmount.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/loops.h"
#include "os/mounts.h"

namespace holdfast {

inline constexpr char kOwnMountTable[] = "/proc/self/mountinfo";

// In the kernel's order: of two mounts at one target the later is on top.
absl::StatusOr<std::vector<MountEntry>> ReadMountTable(const std::string& path = kOwnMountTable);

// Whether the entry shows the loop's filesystem, or is a bind of its node.
bool ShowsLoop(const MountEntry& entry, const Loop& loop);
// Whether the entry shows a filesystem that lies on some loop device.
bool ShowsAnyLoop(const MountEntry& entry);

}  // namespace holdfast
