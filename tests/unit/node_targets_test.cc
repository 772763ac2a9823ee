// Where a volume may be shown and how: what the node refuses before it touches anything. On the
// simulated machine; the same on real kernels: tests/integration/targets_test.cc.
#include "base/sizes.h"
#include "gtest/gtest.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

using grpc::StatusCode;
using CsiAccessMode = csi::v1::VolumeCapability::AccessMode;

class NodeTargets : public ::testing::Test {
 protected:
  csi::v1::NodePublishVolumeRequest Request(const std::string& id, const std::string& target) {
    csi::v1::NodePublishVolumeRequest request;
    request.set_volume_id(id);
    request.set_staging_target_path(rig_.StagingPath(id));
    request.set_target_path(target);
    *request.mutable_volume_capability() = CapabilityOf("ext4");
    return request;
  }
  grpc::Status Publish(const csi::v1::NodePublishVolumeRequest& request) {
    csi::v1::NodePublishVolumeResponse response;
    return rig_.node->NodePublishVolume(nullptr, &request, &response);
  }
  grpc::Status Unpublish(const std::string& id, const std::string& target) {
    csi::v1::NodeUnpublishVolumeRequest request;
    request.set_volume_id(id);
    request.set_target_path(target);
    csi::v1::NodeUnpublishVolumeResponse response;
    return rig_.node->NodeUnpublishVolume(nullptr, &request, &response);
  }
  std::string Staged(const std::string& name) {
    const std::string id = rig_.MustCreate(name);
    EXPECT_TRUE(rig_.Stage(id).ok());
    return id;
  }

  Rig rig_;
};

class NodeTwins : public NodeTargets, public ::testing::WithParamInterface<const char*> {
 protected:
  // A copy of the image, mounted where only its device shows it.
  UniqueFd MountCopy(const std::string& id, const std::string& pool_folder) {
    const auto volumes = rig_.machine.OpenFolder("/pool/volumes");
    const auto folder = rig_.machine.OpenFolder(pool_folder);
    EXPECT_TRUE(volumes.ok() && folder.ok());
    const auto image =
        rig_.machine.OpenFile(*volumes, ImageName(rig_.Row(id).incarnation), Access::kReadOnly);
    const auto copy = rig_.machine.CreateFile(*folder, "copy.img");
    EXPECT_TRUE(image.ok() && copy.ok() && rig_.machine.Clone(**image, *copy).ok());
    const auto attached = rig_.machine.Attach(*copy, {});
    EXPECT_TRUE(attached.ok());
    auto mount = rig_.machine.MountDetached(
        attached->loop,
        {.content = rig_.Row(id).content, .private_clone = pool_folder == "/pool/work"});
    EXPECT_TRUE(mount.ok()) << mount.status();
    return *std::move(mount);
  }
  std::string Create() {
    auto request = rig_.CreateRequest("a", GetParam());
    request.mutable_capacity_range()->set_required_bytes(300 * kMiB);
    csi::v1::Volume volume;
    const grpc::Status status = rig_.Create(request, &volume);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return volume.volume_id();
  }
};
INSTANTIATE_TEST_SUITE_P(Filesystems, NodeTwins, ::testing::Values("ext4", "xfs", "btrfs"));

TEST_P(NodeTwins, ACopyOfTheImageMounted_RefusesTheStageByItsDevice) {
  const std::string id = Create();
  {
    const UniqueFd copy = MountCopy(id, "/pool/trash");
    ExpectRefused(rig_.Stage(id, GetParam()), StatusCode::FAILED_PRECONDITION,
                  "expected no other image with it mounted, found that of /dev/loop");
    EXPECT_EQ(rig_.machine.OpenLoops().size(), 1U) << "the copy's own";
  }
  EXPECT_TRUE(rig_.Stage(id, GetParam()).ok());
  EXPECT_TRUE(rig_.Stage(id, GetParam()).ok()) << "its own mount is no twin";
}

TEST_P(NodeTwins, ACloneThatIsBeingMade_DoesNotRefuseTheStageOfItsSource) {
  const std::string id = Create();
  const UniqueFd clone = MountCopy(id, "/pool/work");
  const grpc::Status staged = rig_.Stage(id, GetParam());
  EXPECT_TRUE(staged.ok()) << staged.error_message();
}

TEST_F(NodeTargets, ModeForSeveralTargets_OfAVolumeStagedForOne_IsRefused) {
  const std::string id = rig_.MustCreate("a");
  rig_.machine.MakeFolders(rig_.StagingPath(id));
  csi::v1::NodeStageVolumeRequest stage;
  stage.set_volume_id(id);
  stage.set_staging_target_path(rig_.StagingPath(id));
  *stage.mutable_volume_capability() =
      CapabilityOf("ext4", CsiAccessMode::SINGLE_NODE_SINGLE_WRITER);
  csi::v1::NodeStageVolumeResponse response;
  ASSERT_TRUE(rig_.node->NodeStageVolume(nullptr, &stage, &response).ok());
  auto one = Request(id, rig_.TargetPath("one"));
  *one.mutable_volume_capability() = stage.volume_capability();
  ASSERT_TRUE(Publish(one).ok());
  auto two = Request(id, rig_.TargetPath("two"));
  *two.mutable_volume_capability() = CapabilityOf("ext4", CsiAccessMode::SINGLE_NODE_MULTI_WRITER);
  ExpectRefused(Publish(two), StatusCode::FAILED_PRECONDITION,
                "expected SINGLE_NODE_SINGLE_WRITER, as staged, found SINGLE_NODE_MULTI_WRITER");
  const auto second = rig_.machine.TargetExists(rig_.TargetPath("two"));
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(*second);
}

TEST_F(NodeTargets, StagingPathAsTarget_IsNeitherPublishedNorUnpublished) {
  const std::string id = Staged("a");
  const std::string staging = rig_.StagingPath(id);
  ExpectRefused(Publish(Request(id, staging)), StatusCode::INVALID_ARGUMENT, staging);
  ExpectRefused(Publish(Request(id, staging + "/")), StatusCode::INVALID_ARGUMENT, staging);
  for (const std::string& path : {staging, staging + "/"}) {
    ExpectRefused(Unpublish(id, path), StatusCode::FAILED_PRECONDITION, "unstage the volume");
  }
  rig_.Restart();
  ExpectRefused(Unpublish(id, staging), StatusCode::FAILED_PRECONDITION, "unstage the volume");
  const auto mounted = rig_.machine.MountedAt(staging);
  ASSERT_TRUE(mounted.ok());
  EXPECT_TRUE(mounted->has_value()) << "the staged mount";
  EXPECT_TRUE(rig_.Publish(id).ok());
  ASSERT_TRUE(rig_.Unpublish(id).ok());
  ASSERT_TRUE(rig_.Unstage(id).ok());
  EXPECT_TRUE(Unpublish(id, staging).ok()) << "a path like any other now";
}

TEST_F(NodeTargets, SameTargetWithOtherMountFlags_IsAlreadyExists) {
  const std::string id = Staged("a");
  const std::string target = rig_.TargetPath("pod");
  ASSERT_TRUE(Publish(Request(id, target)).ok());
  for (const char* flag : {"noexec", "noatime", "strictatime", "nodiratime", "ro"}) {
    SCOPED_TRACE(flag);
    auto other = Request(id, target);
    other.mutable_volume_capability()->mutable_mount()->add_mount_flags(flag);
    ExpectRefused(Publish(other), StatusCode::ALREADY_EXISTS, "as it is published");
  }
  auto same = Request(id, target);
  same.mutable_volume_capability()->mutable_mount()->add_mount_flags("relatime");
  EXPECT_TRUE(Publish(same).ok());
  ASSERT_TRUE(Unpublish(id, target).ok());
  auto flagged = Request(id, target);
  for (const char* flag : {"noexec", "noatime", "nodiratime"}) {
    flagged.mutable_volume_capability()->mutable_mount()->add_mount_flags(flag);
  }
  ASSERT_TRUE(Publish(flagged).ok());
  EXPECT_TRUE(Publish(flagged).ok());
  ExpectRefused(Publish(Request(id, target)), StatusCode::ALREADY_EXISTS,
                "expected ext4, writable, noexec, noatime, nodiratime, as it is published, found "
                "ext4, writable, exec, relatime");
}

// A bind cannot bring them, and OK would say that it did.
TEST_F(NodeTargets, OptionsOfTheFilesystem_AreThoseOfTheStage) {
  const std::string id = Staged("a");
  const std::string target = rig_.TargetPath("pod");
  ASSERT_TRUE(Publish(Request(id, target)).ok());
  for (const char* flag : {"sync", "dirsync", "commit=30"}) {
    SCOPED_TRACE(flag);
    for (const std::string& path : {target, rig_.TargetPath("other")}) {
      auto other = Request(id, path);
      other.mutable_volume_capability()->mutable_mount()->add_mount_flags(flag);
      ExpectRefused(Publish(other), StatusCode::FAILED_PRECONDITION,
                    std::string("expected none, as it was staged, found ") + flag);
    }
  }
  ASSERT_TRUE(Unpublish(id, target).ok());
  ASSERT_TRUE(rig_.Unstage(id).ok());
  auto same = Request(id, target);
  csi::v1::NodeStageVolumeRequest stage;
  stage.set_volume_id(id);
  stage.set_staging_target_path(rig_.StagingPath(id));
  *stage.mutable_volume_capability() = same.volume_capability();
  for (const char* flag : {"sync", "commit=30"}) {
    stage.mutable_volume_capability()->mutable_mount()->add_mount_flags(flag);
    same.mutable_volume_capability()->mutable_mount()->add_mount_flags(flag);
  }
  csi::v1::NodeStageVolumeResponse staged;
  ASSERT_TRUE(rig_.node->NodeStageVolume(nullptr, &stage, &staged).ok());
  EXPECT_TRUE(Publish(same).ok());
  EXPECT_TRUE(Publish(same).ok());
  same.mutable_volume_capability()->mutable_mount()->add_mount_flags("dirsync");
  ExpectRefused(Publish(same), StatusCode::FAILED_PRECONDITION,
                "expected sync,commit=30, as it was staged, found sync,dirsync,commit=30");
}

TEST_F(NodeTargets, InsideAVolume_NothingIsPublishedOrRemoved) {
  const std::string a = Staged("a"), c = Staged("c");
  ASSERT_TRUE(rig_.Publish(a).ok());
  const std::string own = rig_.StagingPath(c);
  for (const std::string& volume : {rig_.TargetPath("pod"), rig_.StagingPath(a), own}) {
    SCOPED_TRACE(volume);
    const std::string target = volume + "/sub";
    ExpectRefused(Publish(Request(c, target)), StatusCode::FAILED_PRECONDITION, volume);
    const auto made = rig_.machine.TargetExists(target);
    ASSERT_TRUE(made.ok());
    EXPECT_FALSE(*made);
    rig_.machine.MakeFolders(target);  // by a workload
    ExpectRefused(Publish(Request(c, target)), StatusCode::FAILED_PRECONDITION, volume);
    ExpectRefused(Unpublish(c, target), StatusCode::FAILED_PRECONDITION, volume);
    const auto left = rig_.machine.TargetExists(target);
    ASSERT_TRUE(left.ok());
    EXPECT_TRUE(*left);
    rig_.machine.RemovePath(target);
  }
  EXPECT_TRUE(rig_.Unpublish(a).ok());
  EXPECT_TRUE(rig_.Unstage(a).ok());
  EXPECT_TRUE(rig_.Unstage(c).ok());
}

}  // namespace
}  // namespace holdfast
