#include "tests/integration/bytes.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <openssl/evp.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "os/unique_fd.h"

namespace holdfast {
namespace {

constexpr uint64_t kChunkBytes = 1 << 20;
constexpr ssize_t kBlock = 4096;

struct Freer {
  void operator()(void* memory) const { std::free(memory); }
};
using Chunk = std::unique_ptr<char, Freer>;

Chunk NewChunk() { return Chunk(static_cast<char*>(std::aligned_alloc(kBlock, kChunkBytes))); }

// A word depends on its offset alone, so that parts can be written and read apart; both in whole
// words.
void Fill(char* out, uint64_t offset, uint64_t length, uint64_t seed) {
  for (uint64_t done = 0; done < length; done += sizeof(uint64_t)) {
    uint64_t word = (offset + done) * 0x9e3779b97f4a7c15 + seed * 0xd1342543de82ef95 + 1;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
    word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
    word ^= word >> 31;
    std::memcpy(out + done, &word, std::min<uint64_t>(sizeof(word), length - done));
  }
}

int Write(const std::string& path, uint64_t offset, uint64_t length, uint64_t seed, int flags) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644));
  if (!file.valid()) return errno;
  const Chunk chunk = NewChunk();
  for (uint64_t done = 0; done < length;) {
    const uint64_t part = std::min(kChunkBytes, length - done);
    Fill(chunk.get(), offset + done, part, seed);
    const ssize_t written =
        pwrite(file.get(), chunk.get(), part, static_cast<off_t>(offset + done));
    if (written < 0) return errno;
    if (written == 0) return ENOSPC;
    done += static_cast<uint64_t>(written);
  }
  return fsync(file.get()) == 0 ? 0 : errno;
}

::testing::AssertionResult Compare(const std::string& path, uint64_t offset, uint64_t length,
                                   bool zeroes, uint64_t seed) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return ::testing::AssertionFailure() << path << ": " << strerror(errno);
  const Chunk expected = NewChunk(), found = NewChunk();
  std::memset(expected.get(), 0, kChunkBytes);
  for (uint64_t done = 0; done < length;) {
    const uint64_t part = std::min(kChunkBytes, length - done);
    const ssize_t got = pread(file.get(), found.get(), part, static_cast<off_t>(offset + done));
    if (got != static_cast<ssize_t>(part)) {
      return ::testing::AssertionFailure() << path << " at " << offset + done << ": read " << got
                                           << " of " << part << (got < 0 ? strerror(errno) : "");
    }
    if (!zeroes) Fill(expected.get(), offset + done, part, seed);
    if (std::memcmp(expected.get(), found.get(), part) != 0) {
      const char* at = std::mismatch(expected.get(), expected.get() + part, found.get()).first;
      return ::testing::AssertionFailure()
             << path << ": differs from byte " << offset + done + (at - expected.get()) << " on";
    }
    done += part;
  }
  return ::testing::AssertionSuccess();
}

}  // namespace

int WriteBytes(const std::string& path, uint64_t offset, uint64_t length, uint64_t seed) {
  return Write(path, offset, length, seed, 0);
}

int WriteBytesDirect(const std::string& path, uint64_t offset, uint64_t length, uint64_t seed) {
  return Write(path, offset, length, seed, O_DIRECT);
}

::testing::AssertionResult HasBytes(const std::string& path, uint64_t offset, uint64_t length,
                                    uint64_t seed) {
  return Compare(path, offset, length, /*zeroes=*/false, seed);
}

::testing::AssertionResult HasZeroes(const std::string& path, uint64_t offset, uint64_t length) {
  return Compare(path, offset, length, /*zeroes=*/true, 0);
}

uint64_t SizeOf(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file.valid() ? static_cast<uint64_t>(lseek(file.get(), 0, SEEK_END)) : 0;
}

uint64_t AllocatedBytes(const std::string& path) {
  struct stat facts {};
  return stat(path.c_str(), &facts) == 0 ? static_cast<uint64_t>(facts.st_blocks) * 512 : 0;
}

Blocks BlocksOf(const std::string& path) {
  constexpr uint32_t kExtents = 512;
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<char> memory(sizeof(fiemap) + kExtents * sizeof(fiemap_extent));
  auto* map = reinterpret_cast<fiemap*>(memory.data());
  Blocks blocks;
  for (uint64_t start = 0; file.valid();) {
    std::memset(memory.data(), 0, memory.size());
    map->fm_start = start;
    map->fm_length = UINT64_MAX - start;
    map->fm_flags = FIEMAP_FLAG_SYNC;
    map->fm_extent_count = kExtents;
    if (ioctl(file.get(), FS_IOC_FIEMAP, map) != 0 || map->fm_mapped_extents == 0) break;
    for (uint32_t i = 0; i < map->fm_mapped_extents; ++i) {
      const fiemap_extent& extent = map->fm_extents[i];
      blocks.allocated += extent.fe_length;
      if (extent.fe_flags & FIEMAP_EXTENT_SHARED) blocks.shared += extent.fe_length;
      start = extent.fe_logical + extent.fe_length;
      if (extent.fe_flags & FIEMAP_EXTENT_LAST) return blocks;
    }
  }
  return blocks;
}

std::string DigestOf(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(fsync(file.get()), 0) << path;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest(EVP_MD_CTX_new(),
                                                                       EVP_MD_CTX_free);
  EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr);
  const Chunk chunk = NewChunk();
  const std::string zeroes(kBlock, '\0');
  for (off_t at = 0;;) {
    // Where reading made clean pages over preallocated blocks, XFS calls them data: a chunk may
    // or may not be found here, so it counts only with what it holds.
    at = lseek(file.get(), at, SEEK_DATA);
    if (at < 0) break;
    at = at / static_cast<off_t>(kChunkBytes) * static_cast<off_t>(kChunkBytes);
    const ssize_t got = pread(file.get(), chunk.get(), kChunkBytes, at);
    if (got <= 0) return path + ": cannot be read at " + std::to_string(at);
    for (ssize_t block = 0; block < got; block += kBlock) {
      const auto length = static_cast<size_t>(std::min<ssize_t>(kBlock, got - block));
      if (std::memcmp(chunk.get() + block, zeroes.data(), length) == 0) continue;
      const off_t offset = at + block;
      EVP_DigestUpdate(digest.get(), &offset, sizeof(offset));
      EVP_DigestUpdate(digest.get(), chunk.get() + block, length);
    }
    at += got;
  }
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_DigestFinal_ex(digest.get(), bytes, &length);
  return std::string(reinterpret_cast<char*>(bytes), length);
}

}  // namespace holdfast
