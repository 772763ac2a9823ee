// The readers on superblocks written by hand; the contract suite has them read real ones.
#include "os/superblock.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "base/sizes.h"
#include "os/crc32c.h"

namespace holdfast {
namespace {

constexpr char kUuid[] = "00010203-0405-4607-8809-0a0b0c0d0e0f";
const std::string kUuidBytes("\x00\x01\x02\x03\x04\x05\x46\x07\x88\x09\x0a\x0b\x0c\x0d\x0e\x0f",
                             16);

std::string Zeroes() { return std::string(kSuperblockRegionBytes, '\0'); }

void Put(std::string& region, size_t offset, const std::string& bytes) {
  region.replace(offset, bytes.size(), bytes);
}

void PutLittle(std::string& region, size_t offset, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) region[offset + i] = static_cast<char>(value >> (8 * i));
}

void PutBig(std::string& region, size_t offset, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) {
    region[offset + i] = static_cast<char>(value >> (8 * (bytes - 1 - i)));
  }
}

void SealExt4(std::string& region) {
  PutLittle(region, 1024 + 0x3fc, Crc32c(~0U, std::string_view(region).substr(1024, 0x3fc)), 4);
}

std::string Ext4() {
  std::string region = Zeroes();
  PutLittle(region, 1024 + 0x4, 2621440, 4);  // blocks
  PutLittle(region, 1024 + 0x18, 2, 4);       // of 4096 bytes
  PutLittle(region, 1024 + 0x38, 0xef53, 2);
  PutLittle(region, 1024 + 0x3a, 1, 2);      // clean
  PutLittle(region, 1024 + 0x60, 0x80, 4);   // 64bit
  PutLittle(region, 1024 + 0x64, 0x400, 4);  // metadata_csum
  Put(region, 1024 + 0x68, kUuidBytes);
  SealExt4(region);
  return region;
}

void SealXfs(std::string& region) {
  PutLittle(region, 224, 0, 4);
  PutLittle(region, 224, ~Crc32c(~0U, std::string_view(region).substr(0, 4096)), 4);
}

std::string Xfs() {
  std::string region = Zeroes();
  Put(region, 0, "XFSB");
  PutBig(region, 4, 4096, 4);
  PutBig(region, 8, 262144, 8);
  Put(region, 32, kUuidBytes);
  PutBig(region, 100, 0xb4a5, 2);  // version 5 in the low bits
  PutBig(region, 102, 4096, 2);
  SealXfs(region);
  return region;
}

constexpr size_t kBtrfsAt = 64 * 1024;

void SealBtrfs(std::string& region) {
  PutLittle(region, kBtrfsAt,
            ~Crc32c(~0U, std::string_view(region).substr(kBtrfsAt + 32, 4096 - 32)), 4);
}

std::string Btrfs() {
  std::string region = Zeroes();
  Put(region, kBtrfsAt + 32, kUuidBytes);
  PutLittle(region, kBtrfsAt + 48, kBtrfsAt, 8);
  Put(region, kBtrfsAt + 64, "_BHRfS_M");
  PutLittle(region, kBtrfsAt + 112, kGiB, 8);
  PutLittle(region, kBtrfsAt + 136, 1, 8);  // devices
  SealBtrfs(region);
  return region;
}

Superblock Intact(const std::string& region) {
  const absl::StatusOr<std::optional<Superblock>> found = ParseSuperblock(region);
  EXPECT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found.ok() && found->has_value());
  return found.ok() ? found->value_or(Superblock()) : Superblock();
}

bool IsDataLoss(const std::string& region) {
  return absl::IsDataLoss(ParseSuperblock(region).status());
}

// Every byte of the superblock, damaged in one bit and in all, must be noticed.
void ExpectEachByteMatters(const std::string& good, size_t begin, size_t end) {
  for (size_t at = begin; at < end; ++at) {
    for (const unsigned char mask : {0x01, 0x80, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ mask);
      ASSERT_TRUE(IsDataLoss(bad)) << "byte " << at << " mask " << int{mask};
    }
  }
}

TEST(Crc32c, OfTheCheckString_IsTheCatalogued) {
  EXPECT_EQ(~Crc32c(~0U, "123456789"), 0xe3069283U);
}

TEST(ParseSuperblock, OfZeroes_IsNothing) {
  const auto found = ParseSuperblock(Zeroes());
  ASSERT_TRUE(found.ok());
  EXPECT_FALSE(found->has_value());
}

TEST(ParseSuperblock, OfAShortImage_IsNothingOrDataLoss) {
  EXPECT_TRUE(ParseSuperblock("").ok());
  EXPECT_TRUE(ParseSuperblock(std::string(512, '\0')).ok());
  EXPECT_TRUE(IsDataLoss("XFSB"));
  EXPECT_TRUE(IsDataLoss(Ext4().substr(0, 1500)));
}

TEST(ParseSuperblock, AnySingleUnknownByte_IsDataLoss) {
  for (size_t at = 0; at < kSuperblockRegionBytes; at += 511) {
    std::string region = Zeroes();
    region[at] = 1;
    ASSERT_TRUE(IsDataLoss(region)) << at;
  }
}

TEST(ParseSuperblock, ReadsExt4) {
  const Superblock found = Intact(Ext4());
  EXPECT_EQ(found.content, Content::kExt4);
  EXPECT_EQ(found.uuid, kUuid);
  EXPECT_EQ(found.size_bytes, 10 * kGiB);
  EXPECT_FALSE(found.needs_recovery);
  EXPECT_FALSE(found.has_errors);
}

TEST(ParseSuperblock, ReadsXfs) {
  const Superblock found = Intact(Xfs());
  EXPECT_EQ(found.content, Content::kXfs);
  EXPECT_EQ(found.uuid, kUuid);
  EXPECT_EQ(found.size_bytes, kGiB);
  EXPECT_TRUE(found.needs_recovery);
  EXPECT_FALSE(found.has_errors);
}

TEST(ParseSuperblock, ReadsBtrfs) {
  const Superblock found = Intact(Btrfs());
  EXPECT_EQ(found.content, Content::kBtrfs);
  EXPECT_EQ(found.uuid, kUuid);
  EXPECT_EQ(found.size_bytes, kGiB);
  EXPECT_FALSE(found.needs_recovery);
  EXPECT_FALSE(found.has_errors);
}

TEST(ParseSuperblock, TellsAnUnplayedLogAndRecordedErrors) {
  std::string ext4 = Ext4();
  PutLittle(ext4, 1024 + 0x60, 0x84, 4);  // needs_recovery
  PutLittle(ext4, 1024 + 0x194, 3, 4);    // three errors since the last check
  SealExt4(ext4);
  EXPECT_TRUE(Intact(ext4).needs_recovery);
  EXPECT_TRUE(Intact(ext4).has_errors);

  std::string xfs = Xfs();
  PutBig(xfs, 216, 0x10, 4);  // needs repair
  SealXfs(xfs);
  EXPECT_TRUE(Intact(xfs).has_errors);

  std::string btrfs = Btrfs();
  PutLittle(btrfs, kBtrfsAt + 96, 12345, 8);  // a log tree
  PutLittle(btrfs, kBtrfsAt + 56, 4, 8);      // the error flag
  SealBtrfs(btrfs);
  EXPECT_TRUE(Intact(btrfs).needs_recovery);
  EXPECT_TRUE(Intact(btrfs).has_errors);
}

TEST(ParseSuperblock, EachDamagedByteOfExt4_IsDataLoss) {
  ExpectEachByteMatters(Ext4(), 1024, 2048);
}

TEST(ParseSuperblock, EachDamagedByteOfXfs_IsDataLoss) { ExpectEachByteMatters(Xfs(), 0, 4096); }

TEST(ParseSuperblock, EachDamagedByteOfBtrfs_IsDataLoss) {
  ExpectEachByteMatters(Btrfs(), kBtrfsAt, kBtrfsAt + 4096);
}

TEST(ParseSuperblock, Ext4WithoutChecksums_IsDataLoss) {
  std::string region = Ext4();
  PutLittle(region, 1024 + 0x64, 0, 4);
  SealExt4(region);
  EXPECT_TRUE(IsDataLoss(region));
}

// Found by fuzzing: the product was what 64 bits leave of it, as little as nothing.
TEST(ParseSuperblock, ASizeBeyond64Bits_IsDataLoss) {
  std::string ext4 = Ext4();
  PutLittle(ext4, 1024 + 0x150, 0xffffffff, 4);
  SealExt4(ext4);
  EXPECT_TRUE(IsDataLoss(ext4));
  std::string xfs = Xfs();
  PutBig(xfs, 8, uint64_t{1} << 52, 8);
  SealXfs(xfs);
  EXPECT_TRUE(IsDataLoss(xfs));
}

TEST(ParseSuperblock, TwoIntactOnes_AreDataLoss) {
  std::string region = Ext4();
  Put(region, kBtrfsAt, Btrfs().substr(kBtrfsAt));
  EXPECT_TRUE(IsDataLoss(region));
}

TEST(ParseSuperblock, AMagicInAWorkloadsData_DoesNotMakeTheVolumeUnusable) {
  std::string region = Xfs();
  Put(region, kBtrfsAt + 64, "_BHRfS_M");
  EXPECT_EQ(Intact(region).content, Content::kXfs);
}

TEST(ParseSuperblock, OfAPartOfAnArray_IsDataLoss) {
  std::string region = Btrfs();
  PutLittle(region, kBtrfsAt + 136, 2, 8);
  SealBtrfs(region);
  EXPECT_TRUE(IsDataLoss(region));
}

}  // namespace
}  // namespace holdfast
