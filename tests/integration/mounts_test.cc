// Who may show a volume where, and that nothing of anybody else's is ever touched.
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/status_macros.h"
#include "os/unique_fd.h"
#include "tests/integration/integration_test.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class MountsTest : public GroundTest {
 protected:
  absl::Status UnpublishAt(const Claim& claim, const std::string& target) {
    csi::v1::NodeUnpublishVolumeRequest request;
    request.set_volume_id(claim.id);
    request.set_target_path(target);
    return csi().Call(request).status();
  }

  absl::Status PublishAt(const Claim& claim, const std::string& target) {
    csi::v1::NodePublishVolumeRequest request;
    request.set_volume_id(claim.id);
    request.set_staging_target_path(StagingPath(claim));
    request.set_target_path(target);
    *request.mutable_volume_capability() = CapabilityOf(claim);
    return csi().Call(request).status();
  }

  // A program that becomes "sleep" when it holds what it is to hold.
  static std::unique_ptr<Child> StartHolder(const std::vector<std::string>& argv) {
    auto child = Child::Start(argv, {});
    for (int i = 0; i < 1000 && !child->Wait(std::chrono::milliseconds(5)); ++i) {
      std::ifstream file("/proc/" + std::to_string(child->pid()) + "/comm");
      std::string name;
      std::getline(file, name);
      if (name == "sleep") return child;
    }
    ADD_FAILURE() << argv[0] << " never came to hold anything";
    return child;
  }
  static std::unique_ptr<Child> StartReader(const std::string& path) {
    return StartHolder({"sh", "-c", "exec sleep 300 <\"$0\"", path});
  }
  static std::string Holder(const Child& child) {
    return "sleep (pid " + std::to_string(child.pid()) + ")";
  }
};

INSTANTIATE_TEST_SUITE_P(Grounds, MountsTest, ::testing::ValuesIn(ContentGrounds()), GroundName);

class FilesystemMountsTest : public MountsTest {};
INSTANTIATE_TEST_SUITE_P(Grounds, FilesystemMountsTest, ::testing::ValuesIn(FilesystemGrounds()),
                         GroundName);

class BtrfsMountsTest : public MountsTest {};
INSTANTIATE_TEST_SUITE_P(Grounds, BtrfsMountsTest,
                         ::testing::Values(Ground{PoolKind::kXfs, Content::kBtrfs}), GroundName);

// A workload may do that, and its snapshot of the root has the root's inode, mode and birth time.
TEST_P(BtrfsMountsTest, Stage_WithAnotherDefaultSubvolume_ShowsTheRoot) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "default", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  MustRun({"btrfs", "subvolume", "snapshot", target, target + "/snap"});
  MustRun({"btrfs", "subvolume", "set-default", target + "/snap"});
  ASSERT_OK(PutAway(claim));
  ASSERT_OK(Show(claim));
  EXPECT_TRUE(fs::exists(target + "/snap")) << "the snapshot is shown as the volume";
  EXPECT_OK(PutAway(claim));
}

class BlockMountsTest : public MountsTest {};
INSTANTIATE_TEST_SUITE_P(Grounds, BlockMountsTest,
                         ::testing::Values(Ground{PoolKind::kXfs, Content::kBlock},
                                           Ground{PoolKind::kBtrfs, Content::kBlock}),
                         GroundName);

TEST_P(MountsTest, Publish_WithoutStage_IsRefusedAndShowsNothing) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "unstaged", .content = content()}));
  EXPECT_TRUE(Refused(Publish(claim), kInUse, {claim.id, "nothing of it there"}));
  fs::create_directories(StagingPath(claim));  // as kubelet leaves it after a reboot
  EXPECT_TRUE(Refused(Publish(claim), kInUse, {claim.id}));
  EXPECT_FALSE(Mounted(TargetPath(claim)));
  EXPECT_FALSE(fs::exists(TargetPath(claim))) << "a refused publish made its target";
}

TEST_P(MountsTest, EveryCallTwice_IsTheSameAsOnce) {
  const Wanted wanted{.name = "twice", .content = content()};
  ASSERT_OK_AND_ASSIGN(Claim claim, Create(wanted));
  ASSERT_OK_AND_ASSIGN(const Claim same, Create(wanted));
  EXPECT_EQ(same.id, claim.id);
  ASSERT_OK(Stage(claim));
  ASSERT_OK(Stage(claim));
  ASSERT_OK(Publish(claim));
  const std::vector<std::string> mounts = MountsBelow(folder());
  ASSERT_OK(Publish(claim));
  ASSERT_OK(Stage(claim));
  EXPECT_EQ(MountsBelow(folder()), mounts);
  ASSERT_OK_AND_ASSIGN(const std::string snapshot, Snapshot(claim, "cut"));
  ASSERT_OK_AND_ASSIGN(const std::string again, Snapshot(claim, "cut"));
  EXPECT_EQ(again, snapshot);
  ASSERT_OK(Unpublish(claim));
  ASSERT_OK(Unpublish(claim));
  EXPECT_FALSE(fs::exists(TargetPath(claim)));
  ASSERT_OK(Unstage(claim));
  ASSERT_OK(Unstage(claim));
  ASSERT_OK(Expand(claim, 2 * claim.bytes));
  ASSERT_OK(Expand(claim, claim.bytes));
  ASSERT_OK(DeleteSnapshot(snapshot));
  ASSERT_OK(DeleteSnapshot(snapshot));
  ASSERT_OK(Delete(claim));
  ASSERT_OK(Delete(claim));
}

TEST_P(MountsTest, Stage_ImageAttachedByHand_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "attached", .content = content()}));
  const std::string loop = MustRun({"losetup", "--find", "--show", ImagePath(claim)});
  EXPECT_TRUE(Refused(Stage(claim), kInUse, {"not attached", loop}));
  if (!block()) {
    fs::create_directory(folder() + "/by-hand");
    MustRun({"mount", loop, folder() + "/by-hand"});
    EXPECT_TRUE(Refused(Stage(claim), kInUse, {loop, folder() + "/by-hand"}));
    EXPECT_TRUE(Mounted(folder() + "/by-hand"));
    MustRun({"umount", folder() + "/by-hand"});
  }
  EXPECT_FALSE(Mounted(StagingPath(claim)));
  EXPECT_TRUE(Refused(Delete(claim), kInUse));
  MustRun({"losetup", "--detach", loop});
  EXPECT_OK(Stage(claim));
}

TEST_P(MountsTest, Stage_ImageOpenForWriting_IsRefusedNamingWho) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "open", .content = content()}));
  UniqueFd writer(open(ImagePath(claim).c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(writer.valid());
  EXPECT_TRUE(Refused(Stage(claim), kInUse,
                      {"open for writing nowhere", "pid " + std::to_string(getpid())}));
  writer = UniqueFd();
  EXPECT_OK(Stage(claim));
}

TEST_P(MountsTest, Unpublish_OfABusyTarget_NamesWhoHoldsIt) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "busy", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  const std::string data = DataPath(claim, target);
  ASSERT_EQ(WriteBytes(data, 0, kMiB, 1), 0);
  const auto holder = StartReader(data);
  EXPECT_TRUE(Refused(Unpublish(claim), kInUse, {target, Holder(*holder)}));
  EXPECT_TRUE(Mounted(target));
  EXPECT_TRUE(Refused(Unstage(claim), kInUse, {target}));
  holder->Kill();
  EXPECT_OK(PutAway(claim));
}

TEST_P(FilesystemMountsTest, Unstage_WithACopyInAnotherMountNamespace_NamesItsProcess) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "copied", .content = content()}));
  ASSERT_OK(Stage(claim));
  const auto holder =
      StartHolder({"unshare", "--mount", "--propagation", "private", "sleep", "300"});
  EXPECT_TRUE(Refused(Unstage(claim), kInUse, {"held by", Holder(*holder)}));
  // Not gone, so nobody else may have it, and it cannot be deleted.
  EXPECT_EQ(LoopsOfImage(claim).size(), 1u);
  EXPECT_TRUE(Refused(Delete(claim), kInUse));
  EXPECT_TRUE(Refused(Stage(claim), kInUse));
  EXPECT_NE(Row(claim).stage.last_end, LastEnd::kClean);
  holder->Kill();
  EXPECT_OK(Unstage(claim));
  EXPECT_OK(Show(claim));
}

TEST_P(BlockMountsTest, Unstage_OfADeviceInUse_NamesWhoHoldsIt) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "used", .content = content()}));
  ASSERT_OK(Stage(claim));
  const auto holder = StartReader(LoopsOfImage(claim).at(0));
  EXPECT_TRUE(Refused(Unstage(claim), kInUse, {Holder(*holder)}));
  EXPECT_EQ(LoopsOfImage(claim).size(), 1u);
  holder->Kill();
  EXPECT_OK(Unstage(claim));
}

TEST_P(MountsTest, Unstage_WhilePublished_IsRefused_AndDeleteToo) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "published", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  EXPECT_TRUE(Refused(Unstage(claim), kInUse, {target}));
  EXPECT_TRUE(Refused(Delete(claim), kInUse));
  EXPECT_EQ(WriteBytes(DataPath(claim, target), 0, kMiB, 2), 0);
}

// The kernel takes no image from a loop device that is open, whoever opened it and when.
TEST_P(FilesystemMountsTest, Create_WithItsLoopDeviceHeldOpen_NamesWhoHoldsIt) {
  const UniqueFd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  const int free_number = ioctl(control.get(), LOOP_CTL_GET_FREE);
  ASSERT_GE(free_number, 0);
  const auto holder = StartReader("/dev/loop" + std::to_string(free_number));
  const Wanted wanted{.name = "watched", .content = content()};
  EXPECT_TRUE(
      Refused(Create(wanted), absl::StatusCode::kUnavailable, {"held by", Holder(*holder)}));
  holder->Kill();
  EXPECT_OK(Create(wanted));
}

// A backup's hook freezes, and dies.
TEST_P(FilesystemMountsTest, Unstage_OfAFilesystemThatItsUserFroze_ThawsIt) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "frozen", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  ASSERT_EQ(WriteBytes(target + "/data", 0, kMiB, 5), 0);
  MustRun({"fsfreeze", "--freeze", target});
  ASSERT_OK(PutAway(claim));
  EXPECT_NE(driver().Log().find("was frozen by somebody else"), std::string::npos);
  ASSERT_OK(Show(claim));
  EXPECT_TRUE(HasBytes(target + "/data", 0, kMiB, 5));
}

TEST_P(FilesystemMountsTest, StagedDeviceMountedByHandElsewhere_IsNotTheStage) {
  ASSERT_OK_AND_ASSIGN(Claim claim, Create({.name = "twice", .content = content()}));
  claim.mode = kMultiWriter;
  ASSERT_OK(Stage(claim));
  const std::string by_hand = driver().kubelet() + "/by-hand";
  fs::create_directory(by_hand);
  MustRun({"mount", LoopsOfImage(claim).at(0), by_hand});
  csi::v1::NodePublishVolumeRequest publish;
  publish.set_volume_id(claim.id);
  publish.set_staging_target_path(by_hand);
  publish.set_target_path(TargetPath(claim));
  *publish.mutable_volume_capability() = CapabilityOf(claim);
  EXPECT_TRUE(
      Refused(csi().Call(publish), kInUse, {"a mount that no stage of this boot recorded"}));
  EXPECT_FALSE(Mounted(TargetPath(claim)));
  csi::v1::NodeStageVolumeRequest stage;
  stage.set_volume_id(claim.id);
  stage.set_staging_target_path(by_hand);
  *stage.mutable_volume_capability() = CapabilityOf(claim);
  EXPECT_TRUE(Refused(csi().Call(stage), kInUse, {"attached as"}));
  MustRun({"umount", by_hand});
  EXPECT_OK(Publish(claim));
}

// kubelet restarts between the last unpublish and the unstage, and never calls the unstage.
TEST_P(MountsTest, Delete_OfAStagedVolumeThatKubeletForgot_UnstagesItFirst) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "forgotten", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  EXPECT_EQ(WriteBytes(DataPath(claim, target), 0, kMiB, 4), 0);
  ASSERT_OK(Unpublish(claim));
  KillAndRestart();
  EXPECT_EQ(LoopsOfImage(claim).size(), 1u);
  EXPECT_OK(Delete(claim));
  EXPECT_FALSE(Mounted(StagingPath(claim)));
  EXPECT_EQ(LoopsBelow(folder()).size(), 1u);  // the pool's
  EXPECT_OK(Unstage(claim));                   // should kubelet remember after all
}

TEST_P(MountsTest, Delete_OfAForgottenVolumeThatAProcessHolds_IsRefusedUntilItEnds) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "held", .content = content()}));
  ASSERT_OK(Stage(claim));
  const auto holder = StartReader(block() ? LoopsOfImage(claim).at(0) : StagingPath(claim));
  EXPECT_TRUE(Refused(Delete(claim), kInUse));
  EXPECT_EQ(LoopsOfImage(claim).size(), 1u);
  EXPECT_EQ(Mounted(StagingPath(claim)), !block());
  holder->Kill();
  EXPECT_OK(Delete(claim));
  EXPECT_EQ(LoopsBelow(folder()).size(), 1u);  // the pool's
}

TEST_P(MountsTest, Unpublish_WithAnotherVolumesId_NeverUnmounts) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "mine", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const Claim other, Create({.name = "other", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  EXPECT_TRUE(Refused(UnpublishAt(other, target), kInUse, {other.id}));
  ASSERT_OK(Show(other));
  EXPECT_TRUE(Refused(UnpublishAt(other, target), kInUse, {other.id}));
  EXPECT_TRUE(Mounted(target));
  EXPECT_EQ(WriteBytes(DataPath(claim, target), 0, kMiB, 3), 0);
  EXPECT_TRUE(HasBytes(DataPath(claim, target), 0, kMiB, 3));
  // A target that somebody else mounted is not ours to take.
  EXPECT_TRUE(Refused(PublishAt(other, target), kInUse, {target}));
}

TEST_P(MountsTest, Targets_ThroughLinksOrOutsideTheKubeletRoot_AreRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "placed", .content = content()}));
  ASSERT_OK(Stage(claim));
  fs::create_directories(folder() + "/outside");
  fs::create_directories(driver().kubelet() + "/pods/real");
  fs::create_directory_symlink(folder() + "/outside", driver().kubelet() + "/pods/link");
  for (const std::string& target :
       {driver().kubelet() + "/pods/link/mount", folder() + "/outside/mount",
        driver().kubelet() + "/pods/../../outside/mount",
        driver().kubelet() + "/pods/real/../link/mount", driver().kubelet() + "-not/mount",
        driver().kubelet(), std::string("/"), std::string("relative/mount")}) {
    EXPECT_TRUE(Refused(PublishAt(claim, target), absl::StatusCode::kInvalidArgument)) << target;
    EXPECT_TRUE(Refused(UnpublishAt(claim, target), absl::StatusCode::kInvalidArgument)) << target;
  }
  EXPECT_TRUE(fs::is_empty(folder() + "/outside"));
  // The target itself a link.
  fs::create_directory_symlink(folder() + "/outside", driver().kubelet() + "/pods/real/mount");
  EXPECT_FALSE(PublishAt(claim, driver().kubelet() + "/pods/real/mount").ok());
  EXPECT_TRUE(fs::is_empty(folder() + "/outside"));
  EXPECT_TRUE(Refused(PublishAt(claim, driver().kubelet() + "/pods/missing/mount"), kInUse));
}

TEST_P(FilesystemMountsTest, Unpublish_LeavesAFolderWithFilesAlone) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "files", .content = content()}));
  const std::string target = TargetPath(claim);
  fs::create_directories(target);
  ASSERT_EQ(WriteBytes(target + "/precious", 0, kBlockBytes, 4), 0);
  EXPECT_TRUE(Refused(Unpublish(claim), kInUse, {target}));
  EXPECT_TRUE(HasBytes(target + "/precious", 0, kBlockBytes, 4));
}

TEST_P(FilesystemMountsTest, WhatSomebodyMountsAtTheStagingPath_IsNotTakenForTheStage) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "swapped", .content = content()}));
  ASSERT_OK(Show(claim));
  ASSERT_OK(Unpublish(claim));
  const auto recorded = Row(claim).stage.root;
  const auto mount_by_hand = [&] {
    MustRun({"umount", StagingPath(claim)});
    const std::string loop = MustRun({"losetup", "--find", "--show", ImagePath(claim)});
    MustRun({"mount", loop, StagingPath(claim)});
    MustRun({"losetup", "--detach", loop});  // with the mount
    EXPECT_TRUE(Refused(Stage(claim), kInUse, {"expected not attached"}));
    EXPECT_TRUE(Refused(Publish(claim), kInUse, {"a mount that no stage of this boot recorded"}));
    EXPECT_FALSE(Mounted(TargetPath(claim)));
  };
  mount_by_hand();
  ASSERT_OK(Unstage(claim));
  ASSERT_OK(Show(claim));
  ASSERT_OK(Unpublish(claim));
  // Another filesystem, which no unstage may take for the volume's.
  const std::map<Content, std::vector<std::string>> mkfs = {
      {Content::kExt4, {"mkfs.ext4", "-qF"}},
      {Content::kXfs, {"mkfs.xfs", "-qf"}},
      {Content::kBtrfs, {"mkfs.btrfs", "-qf"}}};
  MustRun({"umount", StagingPath(claim)});
  std::vector<std::string> anew = mkfs.at(content());
  anew.push_back(ImagePath(claim));
  MustRun(anew);
  const std::string loop = MustRun({"losetup", "--find", "--show", ImagePath(claim)});
  MustRun({"mount", loop, StagingPath(claim)});
  MustRun({"chmod", "0777", StagingPath(claim)});
  MustRun({"losetup", "--detach", loop});
  EXPECT_TRUE(Refused(Publish(claim), kInUse, {"a mount that no stage of this boot recorded"}));
  ASSERT_OK(Unstage(claim));
  EXPECT_EQ(Row(claim).stage.root, recorded);
  EXPECT_TRUE(Refused(Stage(claim), absl::StatusCode::kDataLoss));
}

// A repeated unstage would else make what he changed the record.
TEST_P(FilesystemMountsTest, WhatSomebodyMountsAtTheStagingPathOfAPutAwayVolume_IsNotRecorded) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "away", .content = content()}));
  ASSERT_OK(Show(claim));
  ASSERT_OK(PutAway(claim));
  const auto recorded = Row(claim).stage.root;
  fs::create_directories(StagingPath(claim));
  const std::string loop = MustRun({"losetup", "--find", "--show", ImagePath(claim)});
  MustRun({"mount", loop, StagingPath(claim)});
  MustRun({"losetup", "--detach", loop});  // with the mount
  MustRun({"chmod", "0777", StagingPath(claim)});
  ASSERT_OK(Unstage(claim));
  EXPECT_EQ(Row(claim).stage.root, recorded);
  EXPECT_TRUE(Refused(Stage(claim), kInUse, {"found mode 0777"}));
}

// Every create and stage looks at all loop devices of the machine for the image's own.
TEST_P(FilesystemMountsTest, SomebodyElsesLoopOnAFilesystemThatWasShutDown_StopsNothing) {
  const ScratchDisk& broken = AddDisk("broken", 320 * kMiB, MkfsOf(PoolKind::kXfs));
  const std::string file = broken.path() + "/file";
  MustRun({"truncate", "--size", "1M", file});
  const std::string loop = MustRun({"losetup", "--find", "--show", file});
  MustRun({"xfs_io", "-x", "-c", "shutdown", broken.path()});
  {
    const UniqueFd device(open(loop.c_str(), O_RDONLY | O_CLOEXEC));
    loop_info64 info = {};
    EXPECT_NE(ioctl(device.get(), LOOP_GET_STATUS64, &info), 0) << "it answers: this tests nothing";
  }
  Claim claim;
  const auto live = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(claim, Create({.name = "beside", .content = content()}));
    RETURN_IF_ERROR(Show(claim).status());
    RETURN_IF_ERROR(Snapshot(claim, "beside").status());
    RETURN_IF_ERROR(PutAway(claim));
    return Expand(claim, claim.bytes + 16 * kMiB);
  };
  const absl::Status lived = live();
  const Ended doctor = Ctl({"doctor"});
  MustRun({"losetup", "--detach", loop});
  EXPECT_TRUE(lived.ok()) << lived;
  EXPECT_EQ(doctor.exit_code, 0) << doctor.output;
}

}  // namespace
}  // namespace holdfast
