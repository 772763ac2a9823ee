// Reads what an image has, chunk by chunk (volume/image_digest.h).
#pragma once

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "os/host.h"

namespace holdfast {

// The chunks of the first `bytes` bytes of the file, in order, without those that are all zero;
// what was never written is not even read.
absl::Status ReadChunks(
    Host& host, const UniqueFd& file, uint64_t bytes,
    absl::FunctionRef<absl::Status(uint64_t index, const std::string& data)> take);

}  // namespace holdfast
