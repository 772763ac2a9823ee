// Paths that are somebody else's, flags that are others, and images that are there twice.
#include <fcntl.h>

#include <filesystem>

#include "os/unique_fd.h"
#include "tests/integration/integration_test.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class TargetsTest : public GroundTest {
 protected:
  csi::v1::NodePublishVolumeRequest RequestAt(const Claim& claim, const std::string& target) {
    csi::v1::NodePublishVolumeRequest request;
    request.set_volume_id(claim.id);
    request.set_staging_target_path(StagingPath(claim));
    request.set_target_path(target);
    *request.mutable_volume_capability() = CapabilityOf(claim);
    return request;
  }
  absl::Status PublishAt(const Claim& claim, const std::string& target) {
    return csi().Call(RequestAt(claim, target)).status();
  }
  absl::Status UnpublishAt(const Claim& claim, const std::string& target) {
    csi::v1::NodeUnpublishVolumeRequest request;
    request.set_volume_id(claim.id);
    request.set_target_path(target);
    return csi().Call(request).status();
  }
};

class RawBlockTest : public IntegrationTest {};

INSTANTIATE_TEST_SUITE_P(Grounds, TargetsTest, ::testing::ValuesIn(FilesystemGrounds()),
                         GroundName);

TEST_P(TargetsTest, InsideAVolume_NothingIsPublishedOrRemoved) {
  ASSERT_OK_AND_ASSIGN(const Claim a, Create({.name = "outer", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const Claim c, Create({.name = "inner"}));
  ASSERT_OK_AND_ASSIGN(const std::string shown, Show(a));
  ASSERT_OK(Stage(c));
  for (const std::string& volume : {shown, StagingPath(a), StagingPath(c)}) {
    SCOPED_TRACE(volume);
    const std::string target = volume + "/sub";
    EXPECT_TRUE(Refused(PublishAt(c, target), kInUse, {"outside of every volume", volume}));
    EXPECT_FALSE(fs::exists(target)) << "a folder was made in the volume";
    ASSERT_TRUE(fs::create_directory(target));  // by a workload
    EXPECT_TRUE(Refused(PublishAt(c, target), kInUse, {"outside of every volume", volume}));
    EXPECT_TRUE(Refused(UnpublishAt(c, target), kInUse, {"outside of every volume", volume}));
    EXPECT_TRUE(fs::remove(target)) << "the volume's folder was removed";
  }
  EXPECT_OK(PutAway(a));
  EXPECT_OK(Unstage(c));
}

// Covered, the other volume's target could not be unpublished any more.
TEST_P(TargetsTest, OverATargetFurtherIn_NothingIsPublished) {
  ASSERT_OK_AND_ASSIGN(const Claim a, Create({.name = "inner", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const Claim b, Create({.name = "outer", .content = content()}));
  ASSERT_OK(Stage(a));
  ASSERT_OK(Stage(b));
  const std::string outer = TargetPath(b), inner = outer + "/sub";
  ASSERT_TRUE(fs::create_directories(outer));
  ASSERT_OK(PublishAt(a, inner));
  EXPECT_TRUE(Refused(PublishAt(b, outer), kInUse, {inner, "unmount that first"}));
  EXPECT_TRUE(Mounted(inner));
  ASSERT_OK(UnpublishAt(a, inner));
  EXPECT_FALSE(Mounted(inner));
  EXPECT_OK(PublishAt(b, outer));
  EXPECT_OK(PutAway(b));
  EXPECT_OK(Unstage(a));
}

// Hidden, it would keep every unpublish from removing the target.
TEST_P(TargetsTest, OverSomebodysFiles_NothingIsPublished) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "over", .content = content()}));
  ASSERT_OK(Stage(claim));
  const std::string target = TargetPath(claim);
  ASSERT_TRUE(fs::create_directories(target + "/lost-data"));
  EXPECT_TRUE(Refused(Publish(claim), kInUse, {target, "'lost-data'", "move it away"}));
  EXPECT_FALSE(Mounted(target));
  ASSERT_TRUE(fs::remove(target + "/lost-data"));
  EXPECT_OK(Publish(claim));
  EXPECT_OK(PutAway(claim));
  EXPECT_FALSE(fs::exists(target));
}

TEST_P(TargetsTest, StagingPathAsTarget_IsRefusedAndStaysStaged) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "staged", .content = content()}));
  ASSERT_OK(Stage(claim));
  const std::string staging = StagingPath(claim);
  EXPECT_TRUE(Refused(PublishAt(claim, staging), absl::StatusCode::kInvalidArgument, {staging}));
  EXPECT_TRUE(Refused(UnpublishAt(claim, staging), kInUse, {"unstage the volume"}));
  EXPECT_TRUE(Mounted(staging));
  EXPECT_OK(Publish(claim));
  EXPECT_OK(PutAway(claim));
}

TEST_P(TargetsTest, SameTargetWithOtherMountFlags_IsAlreadyExists) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "flags", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  for (const char* flag : {"noexec", "noatime", "strictatime", "nodiratime"}) {
    SCOPED_TRACE(flag);
    auto request = RequestAt(claim, target);
    request.mutable_volume_capability()->mutable_mount()->add_mount_flags(flag);
    EXPECT_TRUE(Refused(csi().Call(request).status(), absl::StatusCode::kAlreadyExists,
                        {"as it is published", target}));
    ASSERT_OK(Unpublish(claim));
    EXPECT_OK(csi().Call(request).status());
    EXPECT_OK(csi().Call(request).status());
    ASSERT_OK(UnpublishAt(claim, target));
    ASSERT_OK(Publish(claim));
  }
}

TEST_P(TargetsTest, Stage_WithACopyOfTheImageMounted_IsRefusedByItsDevice) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "twin", .content = content()}));
  const std::string copy = folder() + "/copy.img", by_hand = folder() + "/by-hand";
  MustRun({"cp", "--sparse=always", ImagePath(claim), copy});
  fs::create_directory(by_hand);
  const std::string loop = MustRun({"losetup", "--find", "--show", copy});
  MustRun({"mount", loop, by_hand});
  EXPECT_TRUE(Refused(Stage(claim), kInUse, {"no other image with it mounted", loop}));
  EXPECT_FALSE(Mounted(StagingPath(claim)));
  EXPECT_TRUE(LoopsOfImage(claim).empty());
  MustRun({"umount", by_hand});
  EXPECT_OK(Stage(claim));  // attached only, it is nobody's filesystem
  MustRun({"losetup", "--detach", loop});
  fs::remove(copy);
}

// It would be covered, and then stay where the target is to be removed.
TEST_F(RawBlockTest, OverSomebodysDeviceNode_NothingIsPublished) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "over", .content = Content::kBlock}));
  ASSERT_OK(Stage(claim));
  const std::string target = TargetPath(claim);
  fs::create_directories(fs::path(target).parent_path());
  MustRun({"mknod", target, "b", "7", "0"});
  EXPECT_TRUE(Refused(Publish(claim), kInUse, {target, "a device", "move it away"}));
  ASSERT_TRUE(fs::remove(target));
  EXPECT_OK(Publish(claim));
  EXPECT_OK(PutAway(claim));
  EXPECT_FALSE(fs::exists(target));
}

// The kernel would have cleared the device when its user went, and a target would have shown
// whatever got its number next.
TEST_F(RawBlockTest, UnstageAndDelete_OfADeviceThatIsHeld_ChangeNothing) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "held", .content = Content::kBlock}));
  ASSERT_OK(Stage(claim));
  const std::string nested = MustRun({"losetup", "--find", "--show", LoopsOfImage(claim).at(0)});
  EXPECT_TRUE(Refused(Unstage(claim), kInUse, {nested}));
  EXPECT_TRUE(Refused(Delete(claim), kInUse));
  EXPECT_OK(Stage(claim));
  EXPECT_OK(Publish(claim));
  MustRun({"losetup", "--detach", nested});
  EXPECT_EQ(WriteBytes(TargetPath(claim), 0, kMiB, 5), 0);
  EXPECT_EQ(LoopsOfImage(claim).size(), 1u);
  EXPECT_OK(PutAway(claim));
  EXPECT_OK(Delete(claim));
}

TEST_F(RawBlockTest, Publish_OfADeviceOnItsWayOut_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "going", .content = Content::kBlock}));
  ASSERT_OK(Stage(claim));
  const std::string device = LoopsOfImage(claim).at(0);
  {
    const UniqueFd user(open(device.c_str(), O_RDONLY | O_CLOEXEC));
    MustRun({"losetup", "--detach", device});  // by hand: it goes when its user does
    EXPECT_TRUE(Refused(Publish(claim), kInUse, {"stage it again"}));
    EXPECT_FALSE(Mounted(TargetPath(claim)));
  }
  EXPECT_OK(Show(claim));
  EXPECT_OK(PutAway(claim));
}

}  // namespace
}  // namespace holdfast
