// Where a power cut left the files of a pool, before any driver starts: cheap, so that many cuts of
// a recording can be looked at.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace holdfast::powercut {

// One sentence for each file of the mounted pool that no start puts right: it has a name where no
// row wants one, or none where one does. In work/ anything may be; while its row is being deleted a
// file may have its old name, its new one or both.
absl::StatusOr<std::vector<std::string>> MisplacedFiles(const std::string& pool);

}  // namespace holdfast::powercut
