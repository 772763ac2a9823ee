// Which mount options would defeat what Holdfast promises of a volume.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace holdfast {

// Why the option is refused, as a clause ("it hides a damaged log"); nullopt: it is allowed.
// `value` is what stands after '=', nullopt when there is none. Knows nothing of the filesystem:
// what the kernel does not know it refuses itself at the mount.
std::optional<std::string> RefusedMountOption(std::string_view name,
                                              std::optional<std::string_view> value);

// Each element of a capability's mount_flags is an option list: taken apart at the commas that are
// outside of double quotes (SELinux contexts hold quoted ones). INVALID_ARGUMENT names the first
// refused option and why. The early check, before a volume exists; the node asks RefusedMountOption
// again after libmount's parser.
absl::Status CheckMountFlags(const std::vector<std::string>& mount_flags);

}  // namespace holdfast
