// Files of a few bytes: sysfs, procfs, /run.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace holdfast {

// At most 64 KiB, without trailing line ends. nullopt, with errno set, when it cannot be read.
std::optional<std::string> ReadSmallFile(const std::string& path);

// One write(2) to an existing file: what sysfs wants.
absl::Status WriteSysfs(const std::string& path, const std::string& text);

}  // namespace holdfast
