// Files that belong together and that nobody else may read: a key and its certificate.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace holdfast {

// `folder`/current/NAME has that text afterwards, for each of them, and readers meet all of the old
// ones or all of the new ones: current is a symbolic link, which is replaced. Folders are made
// 0700, files 0600; what it was before is removed. One writer at a time.
absl::Status ReplaceSecretFiles(const std::string& folder,
                                const std::vector<std::pair<std::string, std::string>>& files);

}  // namespace holdfast
