#include "volume/image_digest.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

std::string Hex(const std::string& bytes) {
  std::string text;
  for (const unsigned char byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// FIPS 180-2, appendix B.1.
TEST(ImageDigest, Sha256_IsTheStandards) {
  EXPECT_EQ(Hex(Sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(ImageDigest, IsOfIndicesAndDigestsInOrder) {
  ImageDigest digest;
  digest.Add(0x0102, Sha256("abc"));
  digest.Add(uint64_t{1} << 40, Sha256("def"));
  const std::string text = std::string("\x02\x01\0\0\0\0\0\0", 8) + Sha256("abc") +
                           std::string("\0\0\0\0\0\x01\0\0", 8) + Sha256("def");
  EXPECT_EQ(digest.Finish(), Sha256(text));
  EXPECT_EQ(ImageDigest().Finish(), Sha256(""));
}

TEST(ImageDigest, AllZero_IsTold) {
  EXPECT_TRUE(IsAllZero(""));
  EXPECT_TRUE(IsAllZero(std::string(4097, '\0')));
  for (const size_t at : {0, 1, 2048, 4096}) {
    std::string data(4097, '\0');
    data[at] = 1;
    EXPECT_FALSE(IsAllZero(data)) << at;
  }
}

}  // namespace
}  // namespace holdfast
