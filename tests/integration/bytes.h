// Bytes that a test writes and knows again.
#pragma once

#include <cstdint>
#include <string>

#include "gtest/gtest.h"

namespace holdfast {

// Pseudo-random bytes of `seed` into a file or device, made when absent; ends with fsync. Returns
// 0 or the errno of what failed first.
int WriteBytes(const std::string& path, uint64_t offset, uint64_t length, uint64_t seed);
// The same past the page cache (O_DIRECT); offset and length in whole blocks.
int WriteBytesDirect(const std::string& path, uint64_t offset, uint64_t length, uint64_t seed);
// Reads them back and says where the first difference is.
::testing::AssertionResult HasBytes(const std::string& path, uint64_t offset, uint64_t length,
                                    uint64_t seed);
::testing::AssertionResult HasZeroes(const std::string& path, uint64_t offset, uint64_t length);

// Of files and block devices.
uint64_t SizeOf(const std::string& path);
// st_blocks in bytes: what a file has of its filesystem.
uint64_t AllocatedBytes(const std::string& path);
// Bytes of the file that are allocated to nobody else, and those it shares, by FIEMAP.
struct Blocks {
  uint64_t allocated = 0, shared = 0;
};
Blocks BlocksOf(const std::string& path);
// SHA-256, in bytes, over what a file holds and where; a hole and zeroes are the same.
std::string DigestOf(const std::string& path);

}  // namespace holdfast
