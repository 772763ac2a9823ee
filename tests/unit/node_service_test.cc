// What the node promises, on the simulated machine. The same on real kernels: tests/integration.
#include "base/sizes.h"
#include "catalog/catalog.h"
#include "gtest/gtest.h"
#include "integrity/verdict.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

using grpc::StatusCode;

TEST(NodeStageVolume, TwiceTheSame_IsOkAndAttachesOnce) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  EXPECT_TRUE(rig.Stage(id).ok());
  EXPECT_TRUE(rig.Stage(id).ok());
  EXPECT_EQ(rig.machine.OpenLoops().size(), 1U);
}

TEST(NodeStageVolume, RootChangedWhilePutAway_IsRefusedWordForWordUntilAcknowledged) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  ASSERT_TRUE(rig.Unstage(id).ok());
  rig.machine.EditRootOffline(rig.ImagePath(id), [](RootAttributes& root) { root.mode = 0700; });

  const grpc::Status first = rig.Stage(id);
  ExpectRefused(first, StatusCode::FAILED_PRECONDITION, "expected mode 0755, found mode 0700");
  EXPECT_EQ(rig.machine.MountCount(), 0U);
  EXPECT_TRUE(rig.machine.OpenLoops().empty());
  // Even when it is put back: an administrator has to look.
  rig.machine.EditRootOffline(rig.ImagePath(id), [](RootAttributes& root) { root.mode = 0755; });
  EXPECT_EQ(rig.Stage(id).error_message(), first.error_message());
  rig.Restart();
  EXPECT_EQ(rig.Stage(id).error_message(), first.error_message());
  const auto refused = rig.engine->RefusedVolumes();
  ASSERT_TRUE(refused.ok());
  ASSERT_EQ(refused->size(), 1U);
  EXPECT_EQ(refused->front().id, id);
  EXPECT_EQ(refused->front().sentence, first.error_message());

  auto local = rig.engine->FindLocal(id);
  ASSERT_TRUE(local.ok());
  ASSERT_TRUE(AcknowledgeVerdict(local->volume.stage, Acknowledged::kAsFound).ok());
  ASSERT_TRUE(local->pool->catalog->UpdateVolume(local->volume).ok());
  EXPECT_TRUE(rig.engine->RefusedVolumes()->empty());
  // Acknowledged was 0700, and the root is 0755 again by now.
  ExpectRefused(rig.Stage(id), StatusCode::FAILED_PRECONDITION,
                "expected mode 0700, found mode 0755");
}

TEST(NodeStageVolume, RootChangedWhileMountedBeforeACrash_IsStagedAnew) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  rig.machine.EditRootMounted(rig.StagingPath(id), [](RootAttributes& root) { root.mode = 02770; });
  rig.machine.Reboot();
  rig.Restart();
  EXPECT_TRUE(rig.Stage(id).ok());
  EXPECT_EQ(rig.Row(id).stage.root->mode, 02770U);
}

TEST(NodeStageVolume, RootThatIsAnotherInodeAfterACrash_IsRefused) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  rig.machine.Reboot();
  rig.machine.EditRootOffline(rig.ImagePath(id), [](RootAttributes& root) {
    root.birth_time.seconds += 9;
    root.change_time.seconds += 9;
  });
  rig.Restart();
  ExpectRefused(rig.Stage(id), StatusCode::FAILED_PRECONDITION, "birth time");
}

TEST(NodeStageVolume, WithoutARecordedRoot_IsRefused) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  auto local = rig.engine->FindLocal(id);
  ASSERT_TRUE(local.ok());
  local->volume.stage.root.reset();
  ASSERT_TRUE(local->pool->catalog->UpdateVolume(local->volume).ok());
  // Nor is it to be had through a copy, before a stage has refused it and after.
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(rig.Snapshot("s", id).error_code(), StatusCode::FAILED_PRECONDITION);
    auto clone = rig.CreateRequest("b");
    clone.mutable_volume_content_source()->mutable_volume()->set_volume_id(id);
    EXPECT_EQ(rig.Create(clone, nullptr).error_code(), StatusCode::FAILED_PRECONDITION);
    ExpectRefused(rig.Stage(id), StatusCode::FAILED_PRECONDITION, "expected a recorded identity");
  }
}

TEST(NodeStageVolume, AnotherFilesystemUuid_IsDataLossAndNothingIsAttached) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  rig.machine.EditSuperblock(rig.ImagePath(id), [](FakeSuperblock& superblock) {
    superblock.uuid = "00000000-0000-4000-8000-000000000000";
  });
  ExpectRefused(rig.Stage(id), StatusCode::DATA_LOSS, "00000000-0000-4000-8000-000000000000");
  EXPECT_TRUE(rig.machine.OpenLoops().empty());
}

TEST(NodeStageVolume, AttachedOrWrittenBySomebodyElse_IsRefusedByName) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  const Loop foreign = rig.machine.AttachForeign(rig.ImagePath(id));
  ExpectRefused(rig.Stage(id), StatusCode::FAILED_PRECONDITION, foreign.path);
  rig.machine.DetachForeign(foreign.number);
  rig.machine.OpenImageAs(rig.ImagePath(id), "fuse2fs (pid 4711)");
  ExpectRefused(rig.Stage(id), StatusCode::FAILED_PRECONDITION, "fuse2fs (pid 4711)");
  rig.machine.CloseImageAs(rig.ImagePath(id));
  EXPECT_TRUE(rig.Stage(id).ok());
}

TEST(NodeStageVolume, OnOtherTerms_IsAlreadyExists) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  csi::v1::NodeStageVolumeRequest request;
  request.set_volume_id(id);
  request.set_staging_target_path(rig.StagingPath(id));
  *request.mutable_volume_capability() =
      CapabilityOf("ext4", csi::v1::VolumeCapability::AccessMode::MULTI_NODE_READER_ONLY);
  csi::v1::NodeStageVolumeResponse response;
  ExpectRefused(rig.node->NodeStageVolume(nullptr, &request, &response), StatusCode::ALREADY_EXISTS,
                "unstage it first");
}

TEST(NodePublishVolume, WithoutAStage_IsRefused) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ExpectRefused(rig.Publish(id), StatusCode::FAILED_PRECONDITION, "staged at");
}

TEST(NodePublishVolume, AfterAReboot_IsRefusedUntilStagedAgain) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  rig.machine.Reboot();
  rig.Restart();
  ExpectRefused(rig.Publish(id), StatusCode::FAILED_PRECONDITION, "since this boot");
  ASSERT_TRUE(rig.Stage(id).ok());
  EXPECT_TRUE(rig.Publish(id).ok());
}

TEST(NodePublishVolume, RootChangedSilentlyBetweenStageAndFirstPublish_IsRefused) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  rig.machine.EditRootOffline(rig.ImagePath(id), [](RootAttributes& root) { root.mode = 0; });
  ExpectRefused(rig.Publish(id), StatusCode::FAILED_PRECONDITION, "mode 0000");
}

TEST(NodePublishVolume, AfterAnFsGroupWalk_IsPublishedAgainAndPutAway) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  ASSERT_TRUE(rig.Publish(id).ok());
  rig.machine.EditRootMounted(rig.TargetPath("pod"), [](RootAttributes& root) {
    root.mode = 02775;
    root.group = 999;
  });
  ASSERT_TRUE(rig.Unpublish(id).ok());
  EXPECT_TRUE(rig.Publish(id).ok());
  ASSERT_TRUE(rig.Unpublish(id).ok());
  ASSERT_TRUE(rig.Unstage(id).ok());
  EXPECT_EQ(rig.Row(id).stage.last_end, LastEnd::kClean);
  EXPECT_EQ(rig.Row(id).stage.root->group, 999U);
  EXPECT_TRUE(rig.Stage(id).ok());
}

TEST(NodePublishVolume, SecondTargetOfASingleNodeWriter_IsRefused) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  ASSERT_TRUE(rig.Publish(id, "one").ok());
  EXPECT_TRUE(rig.Publish(id, "one").ok());
  ExpectRefused(rig.Publish(id, "two"), StatusCode::FAILED_PRECONDITION, rig.TargetPath("one"));
}

TEST(NodeUnpublishVolume, OfATargetOfAnotherVolume_LeavesItMounted) {
  Rig rig;
  const std::string a = rig.MustCreate("a"), b = rig.MustCreate("b");
  ASSERT_TRUE(rig.Stage(a).ok());
  ASSERT_TRUE(rig.Publish(a).ok());
  ExpectRefused(rig.Unpublish(b), StatusCode::FAILED_PRECONDITION, "own volume id");
  const auto mounted = rig.machine.MountedAt(rig.TargetPath("pod"));
  ASSERT_TRUE(mounted.ok());
  EXPECT_TRUE(mounted->has_value());
}

TEST(NodeUnstageVolume, StillPublished_IsRefused) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  ASSERT_TRUE(rig.Publish(id).ok());
  ExpectRefused(rig.Unstage(id), StatusCode::FAILED_PRECONDITION, rig.TargetPath("pod"));
}

TEST(NodeUnstageVolume, AliveInAnotherMountNamespace_IsNotCalledPutAway) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  rig.machine.CopyMountsToOtherNamespace("sleep (pid 4711)");
  ExpectRefused(rig.Unstage(id), StatusCode::FAILED_PRECONDITION, "sleep (pid 4711)");
  EXPECT_EQ(rig.Row(id).stage.last_end, LastEnd::kStaged);
  rig.machine.EndOtherNamespaces();
  EXPECT_TRUE(rig.Unstage(id).ok());
  EXPECT_TRUE(rig.Stage(id).ok());
}

TEST(NodeUnstageVolume, RootChangedAfterAnUnstageThatWasHeldOnce_IsRefused) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  rig.machine.CopyMountsToOtherNamespace("sleep (pid 4711)");
  EXPECT_FALSE(rig.Unstage(id).ok());
  rig.machine.EndOtherNamespaces();
  ASSERT_TRUE(rig.Unstage(id).ok());
  EXPECT_EQ(rig.Row(id).stage.last_end, LastEnd::kClean);
  rig.machine.EditRootOffline(rig.ImagePath(id), [](RootAttributes& root) {
    root.mode = 02777;
    root.change_time.seconds += 9;
  });
  ExpectRefused(rig.Stage(id), StatusCode::FAILED_PRECONDITION, "mode 2777");
}

TEST(NodeUnstageVolume, EndedUnseenAndOpenInAnotherProgram_IsNotMountedToLook) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  rig.machine.CopyMountsToOtherNamespace("sleep (pid 4711)");
  EXPECT_FALSE(rig.Unstage(id).ok());
  rig.machine.EndOtherNamespaces();
  rig.machine.OpenImageAs(rig.ImagePath(id), "e2fsck (pid 4712)");
  EXPECT_TRUE(rig.Unstage(id).ok());
  EXPECT_EQ(rig.Row(id).stage.last_end, LastEnd::kStaged) << "it was looked at";
}

TEST(NodeExpandVolume, Ext4OnAHostThatCannot_SaysSoAndGrowsAtTheNextStage) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  ASSERT_TRUE(rig.Publish(id).ok());
  ASSERT_TRUE(rig.Expand(id, 128 * kMiB).ok());
  ExpectRefused(rig.NodeExpand(id), StatusCode::FAILED_PRECONDITION, "CAP_SYS_RESOURCE");
  ASSERT_TRUE(rig.Unpublish(id).ok());
  ASSERT_TRUE(rig.Unstage(id).ok());
  ASSERT_TRUE(rig.Stage(id).ok());
  EXPECT_EQ(rig.Row(id).filesystem_bytes, 128 * kMiB);
}

TEST(DeletingAVolume, ThatIsPublished_IsRefusedAndChangesNothing) {
  for (const std::string content : {"ext4", "block"}) {
    Rig rig;
    const std::string id = rig.MustCreate("a", content);
    ASSERT_TRUE(rig.Stage(id, content).ok());
    ASSERT_TRUE(rig.Publish(id, "pod", content).ok());
    const size_t mounts = rig.machine.MountCount();
    ExpectRefused(rig.Delete(id), StatusCode::FAILED_PRECONDITION, "/dev/loop");
    EXPECT_EQ(rig.machine.MountCount(), mounts);
    EXPECT_EQ(rig.Row(id).stage.last_end, LastEnd::kStaged);
    ASSERT_TRUE(rig.Unpublish(id).ok());
    ASSERT_TRUE(rig.Unstage(id).ok());
    EXPECT_TRUE(rig.Delete(id).ok());
    EXPECT_TRUE(rig.Delete(id).ok());
  }
}

TEST(DeletingAVolume, ThatKubeletForgotWhileItWasStaged_UnstagesItFirst) {
  for (const std::string content : {"ext4", "xfs", "btrfs", "block"}) {
    Rig rig;
    auto request = rig.CreateRequest("a", content);
    request.mutable_capacity_range()->set_required_bytes(512 * kMiB);
    csi::v1::Volume volume;
    ASSERT_TRUE(rig.Create(request, &volume).ok()) << content;
    ASSERT_TRUE(rig.Stage(volume.volume_id(), content).ok());
    ASSERT_TRUE(rig.Publish(volume.volume_id(), "pod", content).ok());
    ASSERT_TRUE(rig.Unpublish(volume.volume_id()).ok());
    rig.Restart();  // what a driver remembers is not needed for it
    const grpc::Status deleted = rig.Delete(volume.volume_id());
    EXPECT_TRUE(deleted.ok()) << content << ": " << deleted.error_message();
    EXPECT_EQ(rig.machine.MountCount(), 0U) << content;
    EXPECT_TRUE(rig.machine.OpenLoops().empty()) << content;
  }
}

TEST(NodeGetVolumeStats, TargetGoneSinceTheTableWasRead_IsNotFound) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  csi::v1::NodeGetVolumeStatsRequest request;
  request.set_volume_id(id);
  request.set_volume_path(rig.StagingPath(id));
  csi::v1::NodeGetVolumeStatsResponse response;
  rig.host.plan().FailMethod("OpenMount", absl::FailedPreconditionError("no mount"));
  ExpectRefused(rig.node->NodeGetVolumeStats(nullptr, &request, &response), StatusCode::NOT_FOUND,
                "stage or publish it there first");
}

// The provisioner can be faster than kubelet, which repeats its calls until they are OK.
TEST(DeletingAVolume, BeforeKubeletsLastCalls_LetsThemSucceed) {
  Rig rig;
  const std::string id = rig.MustCreate("a"), other = rig.MustCreate("b");
  ASSERT_TRUE(rig.Stage(id).ok());
  ASSERT_TRUE(rig.Delete(id).ok());
  EXPECT_TRUE(rig.Unpublish(id).ok());
  EXPECT_TRUE(rig.Unstage(id).ok());
  // But what is mounted there is another volume's, and stays.
  ASSERT_TRUE(rig.Stage(other).ok());
  ASSERT_TRUE(rig.Publish(other).ok());
  ExpectRefused(rig.Unpublish(id), StatusCode::NOT_FOUND, id);
  EXPECT_EQ(rig.machine.MountCount(), 2U);
  ExpectRefused(rig.Unstage("garbage"), StatusCode::NOT_FOUND, "garbage");
}

// kubelet's order was broken: the stage is gone and a pod's target is not.
TEST(DeletingAVolume, WhoseOnlyMountIsATarget_IsRefused) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  ASSERT_TRUE(rig.Publish(id).ok());
  ASSERT_TRUE(rig.machine.Unmount(rig.StagingPath(id)).ok());
  ExpectRefused(rig.Delete(id), StatusCode::FAILED_PRECONDITION, "/dev/loop");
  EXPECT_EQ(rig.machine.MountCount(), 1U);
}

TEST(DeletingAVolume, StagedByADriverThatRecordedNoPath_IsRefused) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  auto local = rig.engine->FindLocal(id);
  ASSERT_TRUE(local.ok());
  local->volume.stage.staging_digest.clear();
  ASSERT_TRUE(local->pool->catalog->UpdateVolume(local->volume).ok());
  ExpectRefused(rig.Delete(id), StatusCode::FAILED_PRECONDITION, "/dev/loop");
  EXPECT_EQ(rig.machine.MountCount(), 1U);
}

TEST(DeletingAVolume, ForgottenButAliveInAnotherMountNamespace_IsRefusedUntilThatEnds) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(id).ok());
  rig.machine.CopyMountsToOtherNamespace("sleep (pid 4711)");
  ExpectRefused(rig.Delete(id), StatusCode::FAILED_PRECONDITION, "sleep (pid 4711)");
  EXPECT_EQ(rig.Row(id).state, ObjectState::kReady);
  rig.machine.EndOtherNamespaces();
  EXPECT_TRUE(rig.Delete(id).ok());
}

TEST(DeletingAVolume, AttachedBySomebodyElse_IsRefused) {
  Rig rig;
  const std::string id = rig.MustCreate("a", "block");
  ASSERT_TRUE(rig.Stage(id, "block").ok());
  ASSERT_TRUE(rig.Unstage(id).ok());
  const Loop foreign = rig.machine.AttachForeign(rig.ImagePath(id));
  ExpectRefused(rig.Delete(id), StatusCode::FAILED_PRECONDITION, foreign.path);
  EXPECT_EQ(rig.machine.OpenLoops().size(), 1U);
}

}  // namespace
}  // namespace holdfast
