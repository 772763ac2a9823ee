#include "tests/load/calls.h"

#include "fmt/format.h"
#include "tests/load/tags.h"

namespace holdfast::load {
namespace {

csi::v1::VolumeCapability CapabilityOf(const Call& call) {
  csi::v1::VolumeCapability capability;
  capability.mutable_access_mode()->set_mode(call.terms.mode);
  if (call.content == Content::kBlock) {
    capability.mutable_block();
    return capability;
  }
  auto* mount = capability.mutable_mount();
  if (call.content) mount->set_fs_type(ContentName(*call.content));
  if (!call.terms.flag.empty()) mount->add_mount_flags(call.terms.flag);
  return capability;
}

Answer Refused(const absl::Status& status) {
  Answer answer{.code = status.code(), .message = std::string(status.message())};
  if (answer.message.empty()) answer.wrong = "a refusal without a message";
  return answer;
}

template <typename Request>
Answer CodeOnly(CsiClient& client, const Request& request) {
  const auto response = client.Call(request);
  return response.ok() ? Answer{} : Refused(response.status());
}

std::string PathOf(const Site& site, const Call& call) {
  return call.pod == kNone ? site.StagingPath(call.volume) : site.TargetPath(call.volume, call.pod);
}

Answer Create(CsiClient& client, const Site& site, const Call& call) {
  csi::v1::CreateVolumeRequest request;
  request.set_name(site.VolumeName(call.volume));
  *request.add_volume_capabilities() = CapabilityOf(call);
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(call.required_bytes));
  request.mutable_capacity_range()->set_limit_bytes(static_cast<int64_t>(call.limit_bytes));
  const int pool = PoolOfSlot(call.volume);
  auto& parameters = *request.mutable_parameters();
  parameters["pool"] = site.pool(call.other_pool ? 1 - pool : pool).name;
  parameters["provisioning"] = call.thick ? "thick" : "thin";
  if (call.source_volume != kNone) {
    request.mutable_volume_content_source()->mutable_volume()->set_volume_id(
        site.VolumeId(call.source_volume));
  } else if (call.source_snapshot != kNone) {
    request.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id(
        site.SnapshotId(call.source_snapshot));
  }
  const auto response = client.Call(request);
  if (!response.ok()) return Refused(response.status());
  return ReadVolume(site, response->volume(), call.volume);
}

Answer Expand(CsiClient& client, const Site& site, const Call& call) {
  csi::v1::ControllerExpandVolumeRequest request;
  request.set_volume_id(site.VolumeId(call.volume));
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(call.required_bytes));
  request.mutable_capacity_range()->set_limit_bytes(static_cast<int64_t>(call.limit_bytes));
  *request.mutable_volume_capability() = CapabilityOf(call);
  const auto response = client.Call(request);
  if (!response.ok()) return Refused(response.status());
  return {.capacity_bytes = static_cast<uint64_t>(response->capacity_bytes()),
          .node_expansion = response->node_expansion_required()};
}

Answer Validate(CsiClient& client, const Site& site, const Call& call) {
  csi::v1::ValidateVolumeCapabilitiesRequest request;
  request.set_volume_id(site.VolumeId(call.volume));
  *request.add_volume_capabilities() = CapabilityOf(call);
  const auto response = client.Call(request);
  if (!response.ok()) return Refused(response.status());
  Answer answer{.confirmed = response->has_confirmed()};
  if (!answer.confirmed && response->message().empty()) answer.wrong = "no reason";
  return answer;
}

Answer AskVolume(CsiClient& client, const Site& site, const Call& call) {
  csi::v1::ControllerGetVolumeRequest request;
  request.set_volume_id(site.VolumeId(call.volume));
  const auto response = client.Call(request);
  if (!response.ok()) return Refused(response.status());
  return ReadVolume(site, response->volume(), call.volume);
}

Answer CreateSnapshot(CsiClient& client, const Site& site, const Call& call) {
  csi::v1::CreateSnapshotRequest request;
  request.set_name(site.SnapshotName(call.snapshot));
  request.set_source_volume_id(site.VolumeId(call.volume));
  const auto response = client.Call(request);
  if (!response.ok()) return Refused(response.status());
  return ReadSnapshot(site, response->snapshot(), call.snapshot);
}

Answer AskSnapshot(CsiClient& client, const Site& site, const Call& call) {
  csi::v1::GetSnapshotRequest request;
  request.set_snapshot_id(site.SnapshotId(call.snapshot));
  const auto response = client.Call(request);
  if (!response.ok()) return Refused(response.status());
  return ReadSnapshot(site, response->snapshot(), call.snapshot);
}

Answer Stage(CsiClient& client, const Site& site, const Call& call) {
  csi::v1::NodeStageVolumeRequest request;
  request.set_volume_id(site.VolumeId(call.volume));
  request.set_staging_target_path(site.StagingPath(call.volume));
  *request.mutable_volume_capability() = CapabilityOf(call);
  return CodeOnly(client, request);
}

Answer Publish(CsiClient& client, const Site& site, const Call& call) {
  csi::v1::NodePublishVolumeRequest request;
  request.set_volume_id(site.VolumeId(call.volume));
  request.set_staging_target_path(site.StagingPath(call.volume));
  request.set_target_path(site.TargetPath(call.volume, call.pod));
  *request.mutable_volume_capability() = CapabilityOf(call);
  request.set_readonly(call.read_only);
  return CodeOnly(client, request);
}

Answer Stats(CsiClient& client, const Site& site, const Call& call) {
  csi::v1::NodeGetVolumeStatsRequest request;
  request.set_volume_id(site.VolumeId(call.volume));
  request.set_volume_path(PathOf(site, call));
  const auto response = client.Call(request);
  if (!response.ok()) return Refused(response.status());
  Answer answer;
  if (response->usage().empty() || response->usage(0).unit() != csi::v1::VolumeUsage::BYTES) {
    answer.wrong = "no usage in bytes";
    return answer;
  }
  answer.total_bytes = static_cast<uint64_t>(response->usage(0).total());
  return answer;
}

Answer NodeExpand(CsiClient& client, const Site& site, const Call& call) {
  csi::v1::NodeExpandVolumeRequest request;
  request.set_volume_id(site.VolumeId(call.volume));
  request.set_volume_path(PathOf(site, call));
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(call.required_bytes));
  const auto response = client.Call(request);
  if (!response.ok()) return Refused(response.status());
  return {.capacity_bytes = static_cast<uint64_t>(response->capacity_bytes())};
}

template <typename Request>
Answer WithVolumeId(CsiClient& client, const Site& site, const Call& call, Request request) {
  request.set_volume_id(site.VolumeId(call.volume));
  return CodeOnly(client, request);
}

Answer DeleteSnapshot(CsiClient& client, const Site& site, const Call& call) {
  csi::v1::DeleteSnapshotRequest request;
  request.set_snapshot_id(site.SnapshotId(call.snapshot));
  return CodeOnly(client, request);
}

Answer TakeDown(CsiClient& client, const Site& site, const Call& call) {
  if (call.method == Method::kUnstage) {
    csi::v1::NodeUnstageVolumeRequest request;
    request.set_staging_target_path(site.StagingPath(call.volume));
    return WithVolumeId(client, site, call, request);
  }
  csi::v1::NodeUnpublishVolumeRequest request;
  request.set_target_path(site.TargetPath(call.volume, call.pod));
  return WithVolumeId(client, site, call, request);
}

}  // namespace

Answer ReadVolume(const Site& site, const csi::v1::Volume& volume, int slot) {
  Answer answer{.capacity_bytes = static_cast<uint64_t>(volume.capacity_bytes())};
  if (volume.volume_id() != site.VolumeId(slot)) answer.wrong = "id " + volume.volume_id();
  if (volume.accessible_topology_size() != 1 ||
      volume.accessible_topology(0).segments().size() != 1 ||
      volume.accessible_topology(0).segments().begin()->second != site.node_id()) {
    answer.wrong = "another topology than this node's";
  }
  const auto& source = volume.content_source();
  if (source.has_volume()) answer.source_volume = site.SlotOf(source.volume().volume_id());
  if (source.has_snapshot()) answer.source_snapshot = site.SlotOf(source.snapshot().snapshot_id());
  if (volume.has_content_source() && answer.source_volume == kNone &&
      answer.source_snapshot == kNone) {
    answer.wrong = "a source that is nobody's";
  }
  return answer;
}

Answer ReadSnapshot(const Site& site, const csi::v1::Snapshot& snapshot, int slot) {
  constexpr int64_t kNanosPerSecond = 1'000'000'000;
  Answer answer{.capacity_bytes = static_cast<uint64_t>(snapshot.size_bytes()),
                .source_volume = site.SlotOf(snapshot.source_volume_id()),
                .created_nanos = snapshot.creation_time().seconds() * kNanosPerSecond +
                                 snapshot.creation_time().nanos()};
  if (snapshot.snapshot_id() != site.SnapshotId(slot))
    answer.wrong = "id " + snapshot.snapshot_id();
  if (!snapshot.ready_to_use()) answer.wrong = "not ready to use";
  if (answer.created_nanos <= 0) answer.wrong = "no creation time";
  return answer;
}

Answer Perform(CsiClient& client, const Site& site, const Call& call) {
  const bool block = call.content == Content::kBlock;
  switch (call.method) {
    case Method::kCreateVolume:
      return Create(client, site, call);
    case Method::kDeleteVolume:
      return WithVolumeId(client, site, call, csi::v1::DeleteVolumeRequest());
    case Method::kExpandVolume:
      return Expand(client, site, call);
    case Method::kValidate:
      return Validate(client, site, call);
    case Method::kGetVolume:
      return AskVolume(client, site, call);
    case Method::kCreateSnapshot:
      return CreateSnapshot(client, site, call);
    case Method::kDeleteSnapshot:
      return DeleteSnapshot(client, site, call);
    case Method::kGetSnapshot:
      return AskSnapshot(client, site, call);
    case Method::kStage:
      return Stage(client, site, call);
    case Method::kPublish:
      return Publish(client, site, call);
    case Method::kUnstage:
    case Method::kUnpublish:
      return TakeDown(client, site, call);
    case Method::kStats:
      return Stats(client, site, call);
    case Method::kNodeExpand:
      return NodeExpand(client, site, call);
    case Method::kWriteTag:
      return WriteTag(site.TargetPath(call.volume, call.pod), block, call.tag);
    case Method::kReadTag:
      return ReadTag(site.TargetPath(call.volume, call.pod), block);
    default:
      return {.wrong = "not one call's business"};
  }
}

}  // namespace holdfast::load
