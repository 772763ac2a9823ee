// Thick stays thick, thin gives space back where that is safe, and no mkfs meets a byte of
// anybody's.
#include <chrono>
#include <thread>

#include "tests/integration/integration_test.h"
#include "tests/integration/pool_space.h"

namespace holdfast {
namespace {

class ProvisioningTest : public GroundTest {
 protected:
  // Whatever a filesystem or device offers for giving blocks back.
  static void DiscardAll(const Claim& claim, const std::string& target) {
    if (IsBlock(claim)) {
      Execute({"blkdiscard", target});
    } else {
      Execute({"fstrim", target});
    }
  }

  // Writes and removes, so that there is something to give back.
  static void WriteAndRemove(const Claim& claim, const std::string& target) {
    ASSERT_EQ(WriteBytes(DataPath(claim, target), 0, 32 * kMiB, 1), 0);
    if (IsBlock(claim)) return;
    MustRun({"rm", DataPath(claim, target)});
    MustRun({"sync", "--file-system", target});
  }

  void ExpectThick(const Claim& claim) {
    EXPECT_GE(AllocatedBytes(ImagePath(claim)), claim.bytes);
    EXPECT_GE(BlocksOf(ImagePath(claim)).allocated, claim.bytes);
  }
};

INSTANTIATE_TEST_SUITE_P(Grounds, ProvisioningTest, ::testing::ValuesIn(AllGrounds()), GroundName);

TEST_P(ProvisioningTest, Thick_StaysAllocated_AfterDiscardRestoreAndClone) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "thick", .content = content()}));
  ExpectThick(claim);
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  WriteAndRemove(claim, target);
  DiscardAll(claim, target);
  ExpectThick(claim);
  ASSERT_OK(PutAway(claim));
  ExpectThick(claim);

  ASSERT_OK_AND_ASSIGN(const std::string snapshot, Snapshot(claim, "cut"));
  ASSERT_OK_AND_ASSIGN(const Claim restored, Create({.name = "restored",
                                                     .content = content(),
                                                     .bytes = 2 * claim.bytes,
                                                     .snapshot_id = snapshot}));
  ASSERT_OK_AND_ASSIGN(const Claim clone,
                       Create({.name = "clone", .content = content(), .volume_id = claim.id}));
  ExpectThick(restored);
  ExpectThick(clone);
}

// On btrfs it keeps it: a hole would be owed again while its extent still takes the space, and
// others would not get what they are owed (docs/adr/0015).
TEST_P(ProvisioningTest, Thin_AllocatesWhatIsWritten_AndGivesBackWhatIsDiscarded_OnXfs) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "thin",
                                                  .content = content(),
                                                  .bytes = kGiB,
                                                  .parameters = {{"provisioning", "thin"}}}));
  const uint64_t empty = AllocatedBytes(ImagePath(claim));
  EXPECT_LT(empty, 80 * kMiB);
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  ASSERT_EQ(WriteBytes(DataPath(claim, target), 0, 128 * kMiB, 2), 0);
  const uint64_t full = AllocatedBytes(ImagePath(claim));
  EXPECT_GE(full, empty + 100 * kMiB);
  if (!block()) MustRun({"rm", DataPath(claim, target)});
  if (!block()) MustRun({"sync", "--file-system", target});
  if (GetParam().pool == PoolKind::kBtrfs) {
    DiscardAll(claim, target);
    EXPECT_GE(AllocatedBytes(ImagePath(claim)), full);
    ASSERT_OK(PutAway(claim));
    EXPECT_GE(AllocatedBytes(ImagePath(claim)), full);
    return;
  }
  // XFS frees what was removed in the background: what is not free yet is not discarded.
  for (int attempt = 0; attempt < 50; ++attempt) {
    DiscardAll(claim, target);
    if (AllocatedBytes(ImagePath(claim)) < empty + 40 * kMiB) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_LT(AllocatedBytes(ImagePath(claim)), empty + 40 * kMiB);
}

// Raw block has no files, and btrfs discards by itself, when it thinks fit.
class TrimTest : public GroundTest {};

INSTANTIATE_TEST_SUITE_P(Grounds, TrimTest,
                         ::testing::Values(Ground{PoolKind::kXfs, Content::kExt4},
                                           Ground{PoolKind::kXfs, Content::kXfs}),
                         GroundName);

TEST_P(TrimTest, Thin_GivesBackWhatWasDeleted_WithoutAnybodyAsking) {
  driver().flags() = {"--trim-interval", "1s"};
  Restart();
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "thin",
                                                  .content = content(),
                                                  .bytes = kGiB,
                                                  .parameters = {{"provisioning", "thin"}}}));
  const uint64_t empty = AllocatedBytes(ImagePath(claim));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  ASSERT_EQ(WriteBytes(target + "/kept", 0, 16 * kMiB, 1), 0);
  ASSERT_EQ(WriteBytes(target + "/gone", 0, 128 * kMiB, 2), 0);
  ASSERT_GE(AllocatedBytes(ImagePath(claim)), empty + 128 * kMiB);
  MustRun({"rm", target + "/gone"});
  MustRun({"sync", "--file-system", target});
  for (int i = 0; i < 200 && AllocatedBytes(ImagePath(claim)) > empty + 48 * kMiB; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_LE(AllocatedBytes(ImagePath(claim)), empty + 48 * kMiB) << driver().Log();
  EXPECT_TRUE(HasBytes(target + "/kept", 0, 16 * kMiB, 1));
  EXPECT_EQ(driver().Log().find("trimming thin volumes:"), std::string::npos) << driver().Log();
}

// Who keeps 4 KiB of each extent and discards the rest may do so again and again: the pool has what
// it owes all the same.
class DiscardOnBtrfsTest : public GroundTest {};

INSTANTIATE_TEST_SUITE_P(Grounds, DiscardOnBtrfsTest,
                         ::testing::Values(Ground{PoolKind::kBtrfs, Content::kBlock}), GroundName);

TEST_P(DiscardOnBtrfsTest, LeavingABlockOfEachExtent_TakesNothingFromOthers) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "thin",
                                                  .content = content(),
                                                  .bytes = kGiB,
                                                  .parameters = {{"provisioning", "thin"}}}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  constexpr uint64_t kStep = 256 * 1024, kKept = 4096, kWritten = 64 * kMiB, kMetadata = 4 * kMiB;
  const PoolSpace before = SpaceOf(pool());
  for (uint64_t round = 0; round < 3; ++round) {
    ASSERT_EQ(WriteBytes(target, 0, kWritten, round), 0);
    for (uint64_t at = (round * 2 + 1) * kKept; at + kStep < kWritten; at += kStep) {
      Execute({"blkdiscard", "--offset", std::to_string(at), "--length",
               std::to_string(kStep - kKept), target});
    }
    const PoolSpace now = SpaceOf(pool());
    EXPECT_GE(now.free_bytes + kMetadata - now.owed_bytes, before.free_bytes - before.owed_bytes)
        << "round " << round;
  }
}

class FormatTest : public IntegrationTest {};

// Programs that make filesystems never run in the node path, whatever lies in the image.
TEST_F(FormatTest, Stage_OfAnImageWithoutItsFilesystem_NeverFormats) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "zeroed"}));
  MustRun({"dd", "if=/dev/zero", "of=" + ImagePath(claim), "bs=1M", "count=64",
           "conv=notrunc,fsync", "status=none"});
  const std::string before = DigestOf(ImagePath(claim));
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(Refused(Stage(claim), absl::StatusCode::kDataLoss, {"no filesystem"}));
    EXPECT_FALSE(Mounted(StagingPath(claim)));
  }
  EXPECT_EQ(DigestOf(ImagePath(claim)), before);
}

TEST_F(FormatTest, Volumes_Have4096ByteBlocks_WhateverTheirSize) {
  for (const uint64_t bytes : {16 * kMiB, 64 * kMiB, 600 * kMiB}) {
    ASSERT_OK_AND_ASSIGN(const Claim claim,
                         Create({.name = "of-" + std::to_string(bytes), .bytes = bytes}));
    ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
    EXPECT_EQ(MustRun({"stat", "--file-system", "--format=%S", target}), "4096");
    const std::vector<std::string> loops = LoopsOfImage(claim);
    ASSERT_EQ(loops.size(), 1u);
    EXPECT_EQ(MustRun({"blockdev", "--getss", loops[0]}), "4096");
    EXPECT_EQ(MustRun({"losetup", "--noheadings", "--output=DIO", loops[0]}).back(), '1');
  }
}

}  // namespace
}  // namespace holdfast
