#include "volume/space.h"

#include <gtest/gtest.h>

#include <random>

#include "base/sizes.h"

namespace holdfast {
namespace {

constexpr PoolFilesystem kBoth[] = {PoolFilesystem::kXfs, PoolFilesystem::kBtrfs};

PoolSpace EmptyPool(PoolFilesystem filesystem, uint64_t size_bytes) {
  return {.size_bytes = size_bytes,
          .free_bytes = size_bytes,
          .floor_bytes = FloorBytes(filesystem, size_bytes, 0)};
}

TEST(Space, OwedBytes_CountsHolesAndSharedBlocks) {
  EXPECT_EQ(OwedBytes({.hole_bytes = 4096, .shared_bytes = 8192, .extents = 9}, 100), 12288u);
  EXPECT_EQ(OwedBytes({}, 100), 0u);
  EXPECT_EQ(OwedBytes({.hole_bytes = 3}, 50), 2u);  // rounded up
  EXPECT_EQ(OwedBytes({.hole_bytes = 16 * kTiB}, 100), 16 * kTiB);
}

TEST(Space, OwedUpperBound_IsZeroOnlyForAThickReadyUnsharedVolume) {
  Volume volume;
  volume.capacity_bytes = kGiB;
  volume.state = ObjectState::kReady;
  EXPECT_EQ(OwedUpperBound(volume), 0u);

  Volume shared = volume;
  shared.shares_blocks = true;
  EXPECT_EQ(OwedUpperBound(shared), kGiB);

  Volume thin = volume;
  thin.parameters.provisioning = Provisioning::kThin;
  EXPECT_EQ(OwedUpperBound(thin), kGiB);

  Volume creating = volume;
  creating.state = ObjectState::kCreating;
  EXPECT_EQ(OwedUpperBound(creating), kGiB);

  Volume deleting = volume;
  deleting.state = ObjectState::kDeleting;
  EXPECT_EQ(OwedUpperBound(deleting), kGiB);
}

TEST(Space, FloorBytes_HoldsTheNumbersOfTheDocument) {
  EXPECT_EQ(FloorBytes(PoolFilesystem::kXfs, 2 * kGiB, 0), 32 * kMiB);
  EXPECT_EQ(FloorBytes(PoolFilesystem::kXfs, 1000 * kGiB, 100 * kGiB), 2 * kGiB);
  EXPECT_EQ(FloorBytes(PoolFilesystem::kBtrfs, 1000 * kGiB, 80 * kGiB), 13 * kGiB);
}

TEST(Space, FloorBytes_LeavesASmallPoolUsable) {
  for (const PoolFilesystem filesystem : kBoth) {
    const PoolSpace pool = EmptyPool(filesystem, 2 * kGiB);
    EXPECT_GT(LargestNewVolume(pool, filesystem), 3 * kGiB / 2);
  }
}

// What GetCapacity says can be created, is admitted, and not one block more.
TEST(Space, LargestNewVolume_Fits_AndALittleMoreDoesNot) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const PoolFilesystem filesystem = kBoth[i % 2];
    PoolSpace pool;
    pool.size_bytes = kGiB + random() % (64 * kTiB);
    pool.free_bytes = random() % pool.size_bytes;
    pool.owed_bytes = random() % (pool.free_bytes + 1);
    const uint64_t provisioned = random() % (2 * pool.size_bytes);
    pool.floor_bytes = FloorBytes(filesystem, pool.size_bytes, provisioned);
    if (filesystem == PoolFilesystem::kBtrfs && i % 4 == 1) {
      pool.metadata_free_bytes = random() % (pool.size_bytes / 4);
    }
    const uint64_t largest = LargestNewVolume(pool, filesystem);
    ASSERT_EQ(largest % kBlockBytes, 0u);
    const auto fits = [&](uint64_t capacity) {
      PoolSpace with = pool;
      with.floor_bytes = FloorBytes(filesystem, pool.size_bytes, provisioned + capacity);
      return CheckFits(with, capacity, "p").ok();
    };
    if (largest > 0) {
      ASSERT_TRUE(fits(largest)) << largest;
    }
    ASSERT_FALSE(fits(largest + 3 * kBlockBytes)) << largest;
  }
}

TEST(Space, LargestNewVolume_PoolBelowItsFloor_IsZero) {
  for (const PoolFilesystem filesystem : kBoth) {
    EXPECT_EQ(LargestNewVolume({}, filesystem), 0u);
    EXPECT_EQ(LargestNewVolume({.free_bytes = 10, .owed_bytes = 20}, filesystem), 0u);
  }
}

TEST(Space, CheckFits_Refusal_NamesThePoolAndTheThreeNumbers) {
  const PoolSpace pool{.size_bytes = 10 * kGiB,
                       .free_bytes = 4 * kGiB,
                       .owed_bytes = 2 * kGiB,
                       .floor_bytes = kGiB,
                       .trash_bytes = 5 * kMiB};
  EXPECT_TRUE(CheckFits(pool, kGiB, "fast").ok());
  const absl::Status refused = CheckFits(pool, kGiB + 1, "fast");
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  for (const char* part : {"pool fast", "4 GiB free", "2 GiB owed", "floor of 1 GiB", "5 MiB"}) {
    EXPECT_NE(refused.message().find(part), absl::string_view::npos) << refused << part;
  }
}

TEST(Space, CheckFits_FreeSpaceThatMetadataCannotUse_IsRefusedWithTheCommandThatHelps) {
  PoolSpace pool{.size_bytes = 100 * kGiB,
                 .free_bytes = 50 * kGiB,
                 .floor_bytes = FloorBytes(PoolFilesystem::kBtrfs, 100 * kGiB, 16 * kGiB),
                 .metadata_free_bytes = 2 * kGiB};
  EXPECT_TRUE(CheckFits(pool, 0, "fast").ok());
  pool.metadata_free_bytes -= 1;
  const absl::Status refused = CheckFits(pool, 0, "fast");
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(refused.message().find("btrfs balance"), absl::string_view::npos);
}

TEST(Space, CloneMetadataBytes_GrowsWithTheExtents) {
  EXPECT_EQ(CloneMetadataBytes(PoolFilesystem::kXfs, 0), 0u);
  EXPECT_EQ(CloneMetadataBytes(PoolFilesystem::kXfs, 1000), 36000u);
  EXPECT_EQ(CloneMetadataBytes(PoolFilesystem::kBtrfs, 1000), 432000u);
}

}  // namespace
}  // namespace holdfast
