// The digest of an image, by which a copy of it is known to be one.
//
// An image is seen as chunks of kChunkBytes, the last one shorter. Its digest is the SHA-256 of the
// indices (64 bits, little-endian) and SHA-256 digests, in order, of the chunks that have a byte
// other than zero: how an image is allocated, where its holes are, does not matter.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace holdfast {

inline constexpr uint64_t kChunkBytes = 1 << 20;

// 32 bytes.
std::string Sha256(std::string_view data);

bool IsAllZero(std::string_view data);

class ImageDigest {
 public:
  ImageDigest();
  ImageDigest(ImageDigest&&) noexcept;
  ImageDigest& operator=(ImageDigest&&) noexcept;
  ~ImageDigest();
  // Of the next chunk that is not all zero.
  void Add(uint64_t index, std::string_view chunk_sha256);
  // 32 bytes. Once.
  std::string Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast
