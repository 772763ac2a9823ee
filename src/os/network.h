// What names of the network mean.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace holdfast {

// All addresses of a name, each once, in no order; of an address itself. UNAVAILABLE with the
// resolver's words: none, or nobody could be asked.
absl::StatusOr<std::vector<std::string>> ResolveHost(const std::string& host);

}  // namespace holdfast
