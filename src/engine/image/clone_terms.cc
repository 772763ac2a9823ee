#include "engine/image/clone_terms.h"

#include <fmt/format.h>

#include "base/refusal.h"
#include "base/status_macros.h"

namespace holdfast {

absl::StatusOr<Content> ContentOfClone(const VolumeRequest& request, Content source) {
  const bool fits = request.content ? *request.content == source : source != Content::kBlock;
  if (fits) return source;
  return absl::InvalidArgumentError(
      Refusal{"content of volume '" + request.name + "'",
              fmt::format("{}, like its source {}", ContentName(source), request.source.id),
              request.content ? ContentName(*request.content) : "a filesystem",
              "ask for the source's filesystem and volume mode"}
          .Sentence());
}

// A clone has its source's size unless a larger one is asked for.
absl::StatusOr<uint64_t> CapacityOfClone(const VolumeRequest& request, Content content,
                                         uint64_t source_bytes) {
  CapacityRange range = request.capacity;
  if (range.required_bytes == 0) range.required_bytes = source_bytes;
  ASSIGN_OR_RETURN(const uint64_t bytes, ChooseCapacity(range, content));
  if (bytes >= source_bytes) return bytes;
  return absl::OutOfRangeError(
      Refusal{"size of volume '" + request.name + "'",
              fmt::format("at least {} bytes, as its source {}", source_bytes, request.source.id),
              fmt::format("{} bytes", bytes), "ask for the source's size or more"}
          .Sentence());
}

}  // namespace holdfast
