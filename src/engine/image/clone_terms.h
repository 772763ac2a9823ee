// What a volume that is made from a source may ask for.
#pragma once

#include "absl/status/statusor.h"
#include "engine/storage_engine.h"

namespace holdfast {

// The source's. INVALID_ARGUMENT: something else is asked for.
absl::StatusOr<Content> ContentOfClone(const VolumeRequest& request, Content source);

// Its source's size, unless a larger one is asked for. OUT_OF_RANGE: a smaller one is.
absl::StatusOr<uint64_t> CapacityOfClone(const VolumeRequest& request, Content content,
                                         uint64_t source_bytes);

}  // namespace holdfast
