// The rules of overcommit (volume/overcommit.h).
#include "volume/overcommit.h"

#include <gtest/gtest.h>

#include "base/sizes.h"

namespace holdfast {
namespace {

using std::chrono::milliseconds;

Volume WithReserve(uint32_t percent, uint64_t capacity_bytes = kGiB) {
  Volume volume;
  volume.id = "vol-a";
  volume.capacity_bytes = capacity_bytes;
  volume.parameters.reserve_percent = percent;
  return volume;
}

TEST(Overcommit, AFullReserve_IsAllowedEverywhere) {
  for (const Content content : {Content::kExt4, Content::kXfs, Content::kBtrfs, Content::kBlock}) {
    for (const bool overcommits : {false, true}) {
      EXPECT_TRUE(CheckOvercommit({}, content, "p", overcommits).ok());
    }
  }
}

TEST(Overcommit, LessThanAFullReserve_IsAllowedOnlyWhereItCanBeStopped_OrTheLossIsAccepted) {
  for (const uint32_t percent : {0u, 50u, 99u}) {
    ClassParameters parameters{.reserve_percent = percent};
    for (const Content content : {Content::kExt4, Content::kXfs}) {
      EXPECT_TRUE(CheckOvercommit(parameters, content, "p", true).ok());
      const absl::Status refused = CheckOvercommit(parameters, content, "fast", false);
      EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
      EXPECT_NE(refused.message().find("pool fast is not overcommitted"), refused.message().npos);
    }
    EXPECT_FALSE(CheckOvercommit(parameters, Content::kBtrfs, "p", true).ok());
    const absl::Status block = CheckOvercommit(parameters, Content::kBlock, "p", true);
    EXPECT_NE(block.message().find("rawBlockOvercommit: acknowledged-writes-may-be-lost"),
              block.message().npos)
        << block;
    parameters.accepts_lost_writes = true;
    EXPECT_TRUE(CheckOvercommit(parameters, Content::kBlock, "p", true).ok());
    EXPECT_FALSE(CheckOvercommit(parameters, Content::kBlock, "p", false).ok());
    EXPECT_FALSE(CheckOvercommit(parameters, Content::kBtrfs, "p", true).ok());
  }
}

TEST(Overcommit, LargestNewVolume_CanBeMade_WhateverItsReserve) {
  for (const PoolFilesystem filesystem : {PoolFilesystem::kXfs, PoolFilesystem::kBtrfs}) {
    for (const uint32_t percent : {0u, 1u, 6u, 7u, 50u, 99u, 100u}) {
      const ClassParameters parameters{.provisioning = Provisioning::kThin,
                                       .reserve_percent = percent};
      for (uint64_t free_bytes = 64 * kMiB; free_bytes < kTiB; free_bytes += free_bytes / 3) {
        PoolSpace space{.size_bytes = kTiB, .free_bytes = free_bytes};
        space.floor_bytes = FloorBytes(filesystem, kTiB, 0);
        space.stop_reserve_bytes = 64 * kMiB;
        const uint64_t largest = LargestNewVolume(space, filesystem, parameters);
        if (largest == 0) continue;
        space.floor_bytes = FloorBytes(filesystem, kTiB, largest);
        EXPECT_TRUE(CheckFits(space, BytesToMake(parameters, Content::kExt4, largest), "p").ok())
            << percent << " " << free_bytes;
      }
    }
  }
  EXPECT_EQ(BytesToMake({}, Content::kExt4, kGiB), kGiB) << "thick";
}

TEST(Overcommit, CanStillAllocate_TellsHolesAndSharing) {
  Volume volume = WithReserve(0);
  EXPECT_TRUE(CanStillAllocate(volume, kGiB - kBlockBytes));
  EXPECT_FALSE(CanStillAllocate(volume, kGiB));
  volume.shares_blocks = true;
  EXPECT_TRUE(CanStillAllocate(volume, kGiB));
}

TEST(Overcommit, StopReserve_GrowsWithOvercommittedVolumesOnly_AndIsAnEighthAtMost) {
  const uint64_t none = StopReserveBytes(kTiB, {});
  EXPECT_GT(none, 0u);
  EXPECT_EQ(StopReserveBytes(kTiB, {WithReserve(100), WithReserve(100)}), none);
  const uint64_t one = StopReserveBytes(kTiB, {WithReserve(0)});
  EXPECT_GT(one, none);
  EXPECT_EQ(StopReserveBytes(kTiB, {WithReserve(99), WithReserve(0)}), none + 2 * (one - none));
  EXPECT_EQ(StopReserveBytes(kTiB, {WithReserve(0, kMiB)}), none + kMiB);
  EXPECT_EQ(StopReserveBytes(kGiB, std::vector<Volume>(1000, WithReserve(0))), kGiB / 8);
}

TEST(Overcommit, Watermarks_StandInOrder) {
  const StopLine line{
      .protected_bytes = 100 * kMiB, .floor_bytes = 40 * kMiB, .reserve_bytes = 60 * kMiB};
  EXPECT_EQ(line.stop(), 200 * kMiB);
  EXPECT_EQ(JudgeFree(line.low(), 0, line), Watermark::kPlenty);
  EXPECT_EQ(JudgeFree(line.low() - 1, 0, line), Watermark::kLow);
  EXPECT_EQ(JudgeFree(line.stop(), 0, line), Watermark::kLow);
  EXPECT_EQ(JudgeFree(line.stop() - 1, 0, line), Watermark::kStop);
  EXPECT_EQ(JudgeFree(line.last(), 0, line), Watermark::kStop);
  EXPECT_EQ(JudgeFree(line.last() - 1, 0, line), Watermark::kLast);
  EXPECT_EQ(JudgeFree(0, 0, line), Watermark::kLast);
  EXPECT_EQ(JudgeFree(line.stop() + kMiB, kMiB, line), Watermark::kLow);
  EXPECT_EQ(JudgeFree(line.stop() + kMiB, kMiB + 1, line), Watermark::kStop);
  EXPECT_EQ(JudgeFree(line.stop() + kMiB, kGiB, line), Watermark::kStop)
      << "what is dirty is not gone yet";
}

TEST(Overcommit, NextLook_ComesBeforeAFastDiskReachesTheLine) {
  const uint64_t line = kGiB;
  EXPECT_EQ(NextLook(kTiB, line), milliseconds(50));
  EXPECT_EQ(NextLook(0, line), milliseconds(2));
  for (uint64_t away = 0; away < 4 * kGiB; away += 3 * kMiB) {
    const milliseconds next = NextLook(line + away, line);
    EXPECT_GE(next, milliseconds(2));
    // At 4 GiB/s at most what is away, beyond the shortest wait.
    EXPECT_LE(static_cast<uint64_t>(next.count()) * 4 * kMiB, away + 8 * kMiB);
  }
}

TEST(Overcommit, CheckRoomToRun_WantsMoreThanTheLine_AndSaysTheNumbers) {
  const StopLine line{
      .protected_bytes = kGiB, .floor_bytes = 64 * kMiB, .reserve_bytes = 64 * kMiB};
  const uint64_t needed = line.stop() + 64 * kMiB;
  EXPECT_TRUE(CheckRoomToRun(WithReserve(0), needed, line, "fast").ok());
  const absl::Status refused = CheckRoomToRun(WithReserve(0), needed - kMiB, line, "fast");
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  for (const std::string& part : {std::string("vol-a"), std::string("pool fast"),
                                  FormatBytes(needed), FormatBytes(needed - kMiB)}) {
    EXPECT_NE(refused.message().find(part), refused.message().npos) << refused << " " << part;
  }
  // What is owed to a volume with a full reserve is kept for it below the line.
  EXPECT_TRUE(CheckRoomToRun(WithReserve(100), line.stop() - 1, line, "fast").ok());
  EXPECT_FALSE(CheckRoomToRun(WithReserve(100), kGiB, line, "fast").ok());
}

}  // namespace
}  // namespace holdfast
