// How the bytes of a snapshot reach another node: in chunks (volume/image_digest.h), in order,
// those that are all zero left out.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/storage_engine.h"

namespace holdfast {

struct Chunk {
  uint64_t index = 0;  // its first byte is index * kChunkBytes
  std::string_view data;
  std::string_view sha256;  // of `data`, as whoever read it says
};

// What it returns when it is not OK ends the reading, and is what that returns.
using TakeChunk = absl::FunctionRef<absl::Status(const Chunk& chunk)>;

// Thread-safe.
class SnapshotReader {
 public:
  virtual ~SnapshotReader() = default;
  // Hands over the chunks with an index of `from` or more; the digest of the whole image, those
  // before it too. NOT_FOUND: no such snapshot, or one that was made anew under its name.
  virtual absl::StatusOr<std::string> ReadSnapshot(std::string_view id,
                                                   std::string_view incarnation, uint64_t from,
                                                   TakeChunk take) = 0;
};

// The same of a snapshot of another node. UNAVAILABLE: it broke off, and can go on.
using FetchSnapshot = std::function<absl::StatusOr<std::string>(const CopyOrigin& origin,
                                                                uint64_t from, TakeChunk take)>;

}  // namespace holdfast
