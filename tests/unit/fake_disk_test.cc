#include "tests/fakes/fake_disk.h"

#include <algorithm>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "base/sizes.h"

namespace holdfast {
namespace {

std::string Pattern(size_t length, char first) {
  std::string text(length, '\0');
  for (size_t i = 0; i < length; ++i) text[i] = static_cast<char>(first + i % 13);
  return text;
}

TEST(FakeDisk, Write_ReadsBack_AndHolesAreZeroes) {
  FakeDisk disk(kMiB);
  const auto file = disk.Create();
  ASSERT_TRUE(disk.Write(file, 5000, "hello").ok());
  EXPECT_EQ(disk.Read(file, 5000, 5), "hello");
  EXPECT_EQ(disk.Read(file, 4998, 2), std::string(2, '\0'));
  EXPECT_EQ(disk.Size(file), 5005u);
  EXPECT_EQ(disk.AllocatedBytes(file), kBlockBytes);
  EXPECT_EQ(disk.free_bytes(), kMiB - kBlockBytes);
}

TEST(FakeDisk, Preallocate_TenGibibytes_IsOneUnwrittenExtentAndNoData) {
  FakeDisk disk(20 * kGiB);
  const auto file = disk.Create();
  ASSERT_TRUE(disk.Preallocate(file, 0, 10 * kGiB).ok());
  const auto extents = disk.Extents(file);
  ASSERT_EQ(extents.size(), 1u);
  EXPECT_TRUE(extents[0].unwritten);
  EXPECT_FALSE(extents[0].shared);
  EXPECT_EQ(extents[0].length, 10 * kGiB);
  EXPECT_FALSE(disk.HasData(file));
  EXPECT_EQ(disk.free_bytes(), 10 * kGiB);
}

TEST(FakeDisk, Preallocate_AroundData_KeepsItAndFillsOnlyHoles) {
  FakeDisk disk(kMiB);
  const auto file = disk.Create();
  ASSERT_TRUE(disk.Write(file, 2 * kBlockBytes, Pattern(kBlockBytes, 'a')).ok());
  ASSERT_TRUE(disk.Preallocate(file, 0, 5 * kBlockBytes).ok());
  EXPECT_EQ(disk.AllocatedBytes(file), 5 * kBlockBytes);
  EXPECT_EQ(disk.Read(file, 2 * kBlockBytes, kBlockBytes), Pattern(kBlockBytes, 'a'));
  EXPECT_EQ(disk.free_bytes(), kMiB - 5 * kBlockBytes);
}

TEST(FakeDisk, Clone_SharesWrittenBlocks_AndLeavesPreallocationBehind) {
  FakeDisk disk(kMiB);
  const auto from = disk.Create(), to = disk.Create();
  ASSERT_TRUE(disk.Preallocate(from, 0, 8 * kBlockBytes).ok());
  ASSERT_TRUE(disk.Write(from, 0, Pattern(2 * kBlockBytes, 'a')).ok());
  const uint64_t before = disk.free_bytes();
  disk.Clone(from, to);
  EXPECT_EQ(disk.free_bytes(), before);
  EXPECT_EQ(disk.Size(to), 8 * kBlockBytes);
  EXPECT_EQ(disk.AllocatedBytes(to), 2 * kBlockBytes);
  for (const auto file : {from, to}) {
    EXPECT_TRUE(disk.Extents(file)[0].shared);
    EXPECT_EQ(disk.Extents(file)[0].length, 2 * kBlockBytes);
  }
  EXPECT_FALSE(disk.Extents(from)[1].shared);
  EXPECT_EQ(disk.Read(to, 0, 2 * kBlockBytes), Pattern(2 * kBlockBytes, 'a'));
}

TEST(FakeDisk, Clone_LikeBtrfs_SharesPreallocatedBlocksToo) {
  FakeDisk disk(kMiB, FakeDisk::Like::kBtrfs);
  const auto from = disk.Create(), to = disk.Create();
  ASSERT_TRUE(disk.Preallocate(from, 0, 8 * kBlockBytes).ok());
  disk.Clone(from, to);
  ASSERT_EQ(disk.Extents(to).size(), 1u);
  EXPECT_TRUE(disk.Extents(to)[0].shared && disk.Extents(to)[0].unwritten);
  const uint64_t before = disk.free_bytes();
  ASSERT_TRUE(disk.Write(to, 0, "x").ok());
  EXPECT_EQ(disk.free_bytes(), before - kBlockBytes) << "the other still has its own";
  EXPECT_FALSE(disk.HasData(from));
}

TEST(FakeDisk, Write_ToASharedBlock_TakesANewOneAndLeavesTheOther) {
  FakeDisk disk(kMiB);
  const auto from = disk.Create(), to = disk.Create();
  ASSERT_TRUE(disk.Write(from, 0, Pattern(3 * kBlockBytes, 'a')).ok());
  disk.Clone(from, to);
  const uint64_t before = disk.free_bytes();
  ASSERT_TRUE(disk.Write(from, kBlockBytes + 10, "NEW").ok());
  EXPECT_EQ(disk.free_bytes(), before - kBlockBytes);
  EXPECT_EQ(disk.Read(to, 0, 3 * kBlockBytes), Pattern(3 * kBlockBytes, 'a'));
  std::string expected = Pattern(3 * kBlockBytes, 'a');
  expected.replace(kBlockBytes + 10, 3, "NEW");
  EXPECT_EQ(disk.Read(from, 0, 3 * kBlockBytes), expected);
  ASSERT_TRUE(disk.Write(from, kBlockBytes, "again").ok());
  EXPECT_EQ(disk.free_bytes(), before - kBlockBytes) << "its own block is written in place";
}

TEST(FakeDisk, Write_WithoutRoom_IsResourceExhaustedAndChangesNothing) {
  FakeDisk disk(8 * kBlockBytes);
  const auto file = disk.Create();
  ASSERT_TRUE(disk.Write(file, 0, Pattern(6 * kBlockBytes, 'a')).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(disk.Write(file, 0, Pattern(9 * kBlockBytes, 'z'))));
  EXPECT_TRUE(absl::IsResourceExhausted(disk.Preallocate(file, 0, 9 * kBlockBytes)));
  EXPECT_EQ(disk.Read(file, 0, 7 * kBlockBytes), Pattern(6 * kBlockBytes, 'a'));
  EXPECT_EQ(disk.free_bytes(), 2 * kBlockBytes);
  ASSERT_TRUE(disk.Write(file, 0, Pattern(8 * kBlockBytes, 'b')).ok());
  EXPECT_EQ(disk.free_bytes(), 0u);
}

TEST(FakeDisk, Resize_Smaller_FreesBlocksAndGrowingAgainShowsZeroes) {
  FakeDisk disk(kMiB);
  const auto file = disk.Create();
  ASSERT_TRUE(disk.Write(file, 0, Pattern(3 * kBlockBytes, 'a')).ok());
  ASSERT_TRUE(disk.Resize(file, kBlockBytes + 100).ok());
  EXPECT_EQ(disk.free_bytes(), kMiB - 2 * kBlockBytes);
  ASSERT_TRUE(disk.Resize(file, 3 * kBlockBytes).ok());
  EXPECT_EQ(disk.Read(file, 0, 3 * kBlockBytes),
            Pattern(kBlockBytes + 100, 'a') + std::string(2 * kBlockBytes - 100, '\0'));
}

TEST(FakeDisk, Punch_FreesWholeBlocksAndZeroesTheEdges) {
  FakeDisk disk(kMiB);
  const auto file = disk.Create();
  std::string expected = Pattern(4 * kBlockBytes, 'a');
  ASSERT_TRUE(disk.Write(file, 0, expected).ok());
  ASSERT_TRUE(disk.Punch(file, 100, 2 * kBlockBytes).ok());
  expected.replace(100, 2 * kBlockBytes, 2 * kBlockBytes, '\0');
  EXPECT_EQ(disk.Read(file, 0, 4 * kBlockBytes), expected);
  EXPECT_EQ(disk.free_bytes(), kMiB - 3 * kBlockBytes);
}

TEST(FakeDisk, Delete_AtCommitLikeBtrfs_IsFreeOnlyAfterIt) {
  FakeDisk disk(8 * kBlockBytes, FakeDisk::Like::kBtrfs);
  const auto file = disk.Create();
  ASSERT_TRUE(disk.Write(file, 0, Pattern(8 * kBlockBytes, 'a')).ok());
  disk.Delete(file);
  EXPECT_EQ(disk.free_bytes(), 0u);
  const auto next = disk.Create();
  EXPECT_TRUE(disk.Write(next, 0, "an allocation commits by itself").ok());
  EXPECT_EQ(disk.free_bytes(), 7 * kBlockBytes);
}

// Against a model that keeps the bytes of every file; space is counted from the extents.
TEST(FakeDisk, RandomOperations_AgreeWithAModelAndLoseNoBlock) {
  constexpr uint64_t kBlocks = 256, kFileBlocks = 48;
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    std::mt19937 random(seed);
    const auto pick = [&](uint64_t n) {
      return std::uniform_int_distribution<uint64_t>(0, n - 1)(random);
    };
    FakeDisk disk(kBlocks * kBlockBytes, seed % 2 ? FakeDisk::Like::kXfs : FakeDisk::Like::kBtrfs);
    std::map<FakeDisk::FileId, std::string> model;
    for (int step = 0; step < 200; ++step) {
      if (model.empty() || (model.size() < 8 && pick(10) == 0)) model[disk.Create()];
      auto& [id, bytes] = *std::next(model.begin(), static_cast<int64_t>(pick(model.size())));
      const uint64_t offset = pick(kFileBlocks * kBlockBytes), length = 1 + pick(4 * kBlockBytes);
      switch (pick(6)) {
        case 0:
        case 1: {
          const std::string data = Pattern(length, static_cast<char>('a' + pick(20)));
          if (!disk.Write(id, offset, data).ok()) break;
          bytes.resize(std::max<size_t>(bytes.size(), offset + length));
          bytes.replace(offset, length, data);
          break;
        }
        case 2:
          if (disk.Preallocate(id, offset, length).ok()) {
            bytes.resize(std::max<size_t>(bytes.size(), offset + length));
          }
          break;
        case 3:
          if (disk.Resize(id, offset).ok()) bytes.resize(offset);
          break;
        case 4:
          if (!disk.Punch(id, offset, length).ok() || offset >= bytes.size()) break;
          std::fill(bytes.begin() + static_cast<int64_t>(offset),
                    bytes.begin() + static_cast<int64_t>(std::min(bytes.size(), offset + length)),
                    '\0');
          break;
        case 5:
          if (model.size() > 6) {
            disk.Delete(id);
            model.erase(id);
          } else {
            const auto copy = disk.Create();
            disk.Clone(id, copy);
            model[copy] = bytes;
          }
          break;
      }
      disk.Commit();
      std::map<uint64_t, int> users;  // by physical block
      for (const auto& [file, content] : model) {
        ASSERT_EQ(disk.Size(file), content.size()) << "seed " << seed << " step " << step;
        ASSERT_EQ(disk.Read(file, 0, content.size()), content)
            << "seed " << seed << " step " << step;
        for (const Extent& extent : disk.Extents(file)) {
          for (uint64_t at = 0; at < extent.length; at += kBlockBytes)
            ++users[extent.physical + at];
        }
      }
      for (const auto& [file, content] : model) {
        for (const Extent& extent : disk.Extents(file)) {
          for (uint64_t at = 0; at < extent.length; at += kBlockBytes) {
            ASSERT_EQ(extent.shared, users[extent.physical + at] > 1) << "seed " << seed;
          }
        }
      }
      ASSERT_EQ(disk.free_bytes(), (kBlocks - users.size()) * kBlockBytes)
          << "seed " << seed << " step " << step;
    }
  }
}

}  // namespace
}  // namespace holdfast
