#include "tests/powercut/calls.h"

#include <filesystem>

#include "base/sizes.h"
#include "base/status_macros.h"

namespace holdfast::powercut {
namespace {

csi::v1::VolumeCapability CapabilityOf(Content content) {
  csi::v1::VolumeCapability capability;
  capability.mutable_access_mode()->set_mode(
      csi::v1::VolumeCapability::AccessMode::SINGLE_NODE_WRITER);
  if (content == Content::kBlock) {
    capability.mutable_block();
  } else {
    capability.mutable_mount()->set_fs_type(ContentName(content));
  }
  return capability;
}

}  // namespace

uint64_t SmallestBytes(Content content) {
  switch (content) {
    case Content::kBlock:
      return 16 * kMiB;
    case Content::kExt4:
      return 64 * kMiB;
    case Content::kXfs:
      return 304 * kMiB;
    case Content::kBtrfs:
      return 272 * kMiB;
  }
  return 0;
}

absl::StatusOr<Made> Calls::Create(const Asked& asked) {
  csi::v1::CreateVolumeRequest request;
  request.set_name(asked.name);
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(asked.bytes));
  if (asked.thin) (*request.mutable_parameters())["provisioning"] = "thin";
  *request.add_volume_capabilities() = CapabilityOf(asked.content);
  auto* source = request.mutable_volume_content_source();
  if (!asked.snapshot_id.empty()) {
    source->mutable_snapshot()->set_snapshot_id(asked.snapshot_id);
  } else if (!asked.volume_id.empty()) {
    source->mutable_volume()->set_volume_id(asked.volume_id);
  } else {
    request.clear_volume_content_source();
  }
  ASSIGN_OR_RETURN(const auto answer, csi_.Call(request));
  return Made{answer.volume().volume_id(), static_cast<uint64_t>(answer.volume().capacity_bytes())};
}

absl::Status Calls::Delete(const std::string& volume) {
  csi::v1::DeleteVolumeRequest request;
  request.set_volume_id(volume);
  return csi_.Call(request).status();
}

absl::StatusOr<uint64_t> Calls::Expand(const std::string& volume, Content content, uint64_t bytes) {
  csi::v1::ControllerExpandVolumeRequest request;
  request.set_volume_id(volume);
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(bytes));
  *request.mutable_volume_capability() = CapabilityOf(content);
  ASSIGN_OR_RETURN(const auto answer, csi_.Call(request));
  return static_cast<uint64_t>(answer.capacity_bytes());
}

absl::Status Calls::ExpandOnNode(const std::string& volume, uint64_t bytes) {
  csi::v1::NodeExpandVolumeRequest request;
  request.set_volume_id(volume);
  request.set_volume_path(TargetPath(volume));
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(bytes));
  return csi_.Call(request).status();
}

absl::StatusOr<Made> Calls::Snapshot(const std::string& volume, const std::string& name) {
  csi::v1::CreateSnapshotRequest request;
  request.set_name(name);
  request.set_source_volume_id(volume);
  ASSIGN_OR_RETURN(const auto answer, csi_.Call(request));
  if (!answer.snapshot().ready_to_use()) return absl::InternalError(name + ": not ready to use");
  return Made{answer.snapshot().snapshot_id(),
              static_cast<uint64_t>(answer.snapshot().size_bytes())};
}

absl::Status Calls::DeleteSnapshot(const std::string& snapshot) {
  csi::v1::DeleteSnapshotRequest request;
  request.set_snapshot_id(snapshot);
  return csi_.Call(request).status();
}

absl::StatusOr<std::string> Calls::Show(const std::string& volume, Content content) {
  csi::v1::NodeStageVolumeRequest stage;
  stage.set_volume_id(volume);
  stage.set_staging_target_path(StagingPath(volume));
  *stage.mutable_volume_capability() = CapabilityOf(content);
  std::filesystem::create_directories(StagingPath(volume));
  RETURN_IF_ERROR(csi_.Call(stage).status());
  csi::v1::NodePublishVolumeRequest publish;
  publish.set_volume_id(volume);
  publish.set_staging_target_path(StagingPath(volume));
  publish.set_target_path(TargetPath(volume));
  *publish.mutable_volume_capability() = CapabilityOf(content);
  std::filesystem::create_directories(std::filesystem::path(TargetPath(volume)).parent_path());
  RETURN_IF_ERROR(csi_.Call(publish).status());
  return TargetPath(volume);
}

absl::Status Calls::PutAway(const std::string& volume) {
  csi::v1::NodeUnpublishVolumeRequest unpublish;
  unpublish.set_volume_id(volume);
  unpublish.set_target_path(TargetPath(volume));
  RETURN_IF_ERROR(csi_.Call(unpublish).status());
  csi::v1::NodeUnstageVolumeRequest unstage;
  unstage.set_volume_id(volume);
  unstage.set_staging_target_path(StagingPath(volume));
  return csi_.Call(unstage).status();
}

std::string Calls::StagingPath(const std::string& volume) const {
  return kubelet_ + "/plugins/" + volume + "/globalmount";
}

std::string Calls::TargetPath(const std::string& volume) const {
  return kubelet_ + "/pods/pod/" + volume + "/mount";
}

}  // namespace holdfast::powercut
