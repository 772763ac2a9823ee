// What is not the recorded filesystem is never mounted, formatted or written.
#include <filesystem>
#include <fstream>
#include <optional>

#include "tests/integration/integration_test.h"

namespace holdfast {
namespace {

class IdentityTest : public GroundTest {
 protected:
  // Refused, nothing shown, and not one byte of the image written by us.
  void ExpectRefusedUntouched(const Claim& claim, absl::StatusCode code,
                              const std::vector<std::string>& words) {
    const std::string before = DigestOf(ImagePath(claim));
    for (int i = 0; i < 2; ++i) EXPECT_TRUE(Refused(Stage(claim), code, words));
    EXPECT_FALSE(Mounted(StagingPath(claim)));
    EXPECT_EQ(LoopsOfImage(claim), std::vector<std::string>());
    EXPECT_EQ(DigestOf(ImagePath(claim)), before);
  }

  std::vector<std::string> Mkfs() const {
    switch (content()) {
      case Content::kXfs:
        return {"mkfs.xfs", "-q", "-f"};
      case Content::kBtrfs:
        return {"mkfs.btrfs", "-q", "-f"};
      default:
        return {"mkfs.ext4", "-q", "-F"};
    }
  }
};

class LostImageTest : public GroundTest {};
INSTANTIATE_TEST_SUITE_P(Grounds, LostImageTest, ::testing::ValuesIn(AllGrounds()), GroundName);

INSTANTIATE_TEST_SUITE_P(Grounds, IdentityTest, ::testing::ValuesIn(FilesystemGrounds()),
                         GroundName);

TEST_P(IdentityTest, Stage_FilesystemRemadeByHand_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "remade", .content = content()}));
  const std::string uuid = Row(claim).filesystem_uuid;
  std::vector<std::string> remake = Mkfs();
  remake.push_back(ImagePath(claim));
  MustRun(remake);
  ExpectRefusedUntouched(claim, absl::StatusCode::kDataLoss,
                         {"expected " + std::string(ContentName(content())) + " " + uuid});
}

TEST_P(IdentityTest, Stage_FilesystemOfAnotherVolume_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "victim", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const Claim other, Create({.name = "other", .content = content()}));
  MustRun({"dd", "if=" + ImagePath(other), "of=" + ImagePath(claim), "bs=4M", "conv=notrunc,fsync",
           "status=none"});
  ExpectRefusedUntouched(claim, absl::StatusCode::kDataLoss,
                         {Row(claim).filesystem_uuid, Row(other).filesystem_uuid});
}

TEST_P(IdentityTest, Stage_SuperblockWiped_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "wiped", .content = content()}));
  MustRun({"dd", "if=/dev/zero", "of=" + ImagePath(claim), "bs=128K", "count=1",
           "conv=notrunc,fsync", "status=none"});
  ExpectRefusedUntouched(claim, absl::StatusCode::kDataLoss, {claim.id});
}

TEST_P(IdentityTest, Stage_OneByteOfTheSuperblockChanged_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "rotten", .content = content()}));
  // Within the checksummed part of each: ext4 at 1 KiB, XFS at 0, btrfs at 64 KiB.
  const uint64_t at = content() == Content::kExt4  ? 1024 + 0x78 + 3
                      : content() == Content::kXfs ? 108 + 3
                                                   : 65536 + 0x12b + 3;
  ASSERT_EQ(WriteBytes(ImagePath(claim), at, 1, 0x5a), 0);
  ExpectRefusedUntouched(claim, absl::StatusCode::kDataLoss, {});
}

// XFS begins with its superblock.
class SignatureTest : public IdentityTest {};
INSTANTIATE_TEST_SUITE_P(Grounds, SignatureTest,
                         ::testing::Values(Ground{PoolKind::kXfs, Content::kExt4},
                                           Ground{PoolKind::kBtrfs, Content::kBtrfs}),
                         GroundName);

// Put over the bytes that the filesystem leaves alone: what was meant to be in the image?
TEST_P(SignatureTest, Stage_WithAForeignSignatureBeforeTheSuperblock_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "covered", .content = content()}));
  {
    std::fstream image(ImagePath(claim), std::ios::in | std::ios::out | std::ios::binary);
    image.write("LUKS\xba\xbe\0\1", 8);
    ASSERT_TRUE(image.flush().good());
  }
  ExpectRefusedUntouched(claim, absl::StatusCode::kDataLoss,
                         {"expected zeroes before", "offset 0"});
}

// XFS gives the inode number of a lost image to the next one that is made.
TEST_P(LostImageTest, WhoseInodeIsAnothersNow_TakesNothingFromThatOne) {
  ASSERT_OK_AND_ASSIGN(const Claim lost, Create({.name = "lost", .content = content()}));
  const uint64_t inode = Row(lost).image_inode;
  MustRun({"rm", ImagePath(lost)});
  std::optional<Claim> heir;
  for (int i = 0; i < 8 && !heir; ++i) {
    ASSERT_OK_AND_ASSIGN(const Claim next,
                         Create({.name = "next-" + std::to_string(i), .content = content()}));
    if (Row(next).image_inode == inode) heir = next;
  }
  // btrfs never gives a number twice.
  ASSERT_EQ(heir.has_value(), GetParam().pool == PoolKind::kXfs);
  if (heir) {
    ASSERT_OK_AND_ASSIGN(const std::string target, Show(*heir));
    csi::v1::NodeUnpublishVolumeRequest unpublish;
    unpublish.set_volume_id(lost.id);
    unpublish.set_target_path(target);
    EXPECT_TRUE(Refused(csi().Call(unpublish).status(), absl::StatusCode::kFailedPrecondition,
                        {"unpublish it with its own volume id"}));
    csi::v1::NodeUnstageVolumeRequest unstage;
    unstage.set_volume_id(lost.id);
    unstage.set_staging_target_path(StagingPath(*heir));
    csi().Call(unstage).status().IgnoreError();  // the volume is not staged: OK is an answer
    EXPECT_TRUE(Mounted(target));
    EXPECT_EQ(Mounted(StagingPath(*heir)), !block());
    EXPECT_EQ(LoopsOfImage(*heir).size(), 1u);
    EXPECT_EQ(WriteBytes(DataPath(*heir, target), 0, kMiB, 9), 0);
  }
  EXPECT_OK(Delete(lost));  // nothing of it is in use
  if (heir) EXPECT_OK(PutAway(*heir));
}

// As resize2fs does whose driver was killed.
TEST_P(IdentityTest, Cut_WhileAProgramHasTheImageOpenForWriting_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "written", .content = content()}));
  {
    const std::fstream program(ImagePath(claim), std::ios::in | std::ios::out);
    EXPECT_TRUE(Refused(Snapshot(claim, "cut").status(), absl::StatusCode::kFailedPrecondition,
                        {"open for writing nowhere", "pid"}));
  }
  EXPECT_OK(Snapshot(claim, "cut"));
}

TEST_P(IdentityTest, Stage_ImageReplacedByACopy_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "replaced", .content = content()}));
  const std::string image = ImagePath(claim);
  MustRun({"cp", "--reflink=auto", image, image + ".copy"});
  MustRun({"mv", image + ".copy", image});
  ExpectRefusedUntouched(claim, absl::StatusCode::kFailedPrecondition, {"inode"});
  MustRun({"rm", image});
}

TEST_P(IdentityTest, Delete_ImageReplacedByACopy_IsRefused_AndTheCopyIsKept) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "kept", .content = content()}));
  const std::string image = ImagePath(claim), outside = pool() + "/outside.img";
  MustRun({"cp", "--reflink=auto", image, image + ".copy"});
  MustRun({"mv", image + ".copy", image});
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(Refused(Delete(claim), absl::StatusCode::kFailedPrecondition,
                        {claim.id, "inode", "move that file out of the pool"}));
    EXPECT_TRUE(std::filesystem::exists(image));
  }
  MustRun({"mv", image, outside});
  EXPECT_OK(Delete(claim));
  EXPECT_TRUE(std::filesystem::exists(outside));
  MustRun({"rm", outside});
}

TEST_P(IdentityTest, Delete_ImageRenamedWhileItIsMounted_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "renamed", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  const std::string image = ImagePath(claim), elsewhere = pool() + "/volumes/by-hand.img";
  MustRun({"mv", image, elsewhere});
  EXPECT_TRUE(
      Refused(Delete(claim), absl::StatusCode::kFailedPrecondition, {"in use", "attached"}));
  MustRun({"mv", elsewhere, image});
  EXPECT_EQ(WriteBytes(DataPath(claim, target), 0, kMiB, 3), 0);
  ASSERT_OK(PutAway(claim));
  EXPECT_OK(Delete(claim));
}

TEST_P(IdentityTest, Stage_ImageMissing_IsDataLoss_AndItIsNotMadeAnew) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "missing", .content = content()}));
  const std::string image = ImagePath(claim);
  MustRun({"mv", image, pool() + "/elsewhere.img"});
  EXPECT_TRUE(Refused(Stage(claim), absl::StatusCode::kDataLoss, {claim.id}));
  EXPECT_FALSE(std::filesystem::exists(image));
  EXPECT_OK(Delete(claim));
}

TEST_P(IdentityTest, Stage_ImageTruncated_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "short", .content = content()}));
  MustRun({"truncate", "--size=-4096", ImagePath(claim)});
  ExpectRefusedUntouched(claim, absl::StatusCode::kFailedPrecondition,
                         {"of " + std::to_string(claim.bytes) + " bytes"});
}

}  // namespace
}  // namespace holdfast
