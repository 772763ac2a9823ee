#include "engine/image/read_chunks.h"

#include <algorithm>

#include "base/status_macros.h"
#include "volume/image_digest.h"

namespace holdfast {

absl::Status ReadChunks(
    Host& host, const UniqueFd& file, uint64_t bytes,
    absl::FunctionRef<absl::Status(uint64_t index, const std::string& data)> take) {
  ASSIGN_OR_RETURN(const auto extents, host.Extents(file));
  uint64_t next = 0;  // chunks before it are done
  for (const Extent& extent : extents) {
    if (extent.unwritten) continue;
    const uint64_t end = std::min(extent.logical + extent.length, bytes);
    for (uint64_t index = std::max(next, extent.logical / kChunkBytes); index * kChunkBytes < end;
         ++index) {
      const uint64_t offset = index * kChunkBytes;
      ASSIGN_OR_RETURN(const std::string data,
                       host.Read(file, offset, std::min(kChunkBytes, bytes - offset)));
      if (!IsAllZero(data)) RETURN_IF_ERROR(take(index, data));
      next = index + 1;
    }
  }
  return absl::OkStatus();
}

}  // namespace holdfast
