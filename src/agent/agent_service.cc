#include "agent/agent_service.h"

#include <optional>

#include "agent/tls.h"
#include "agent/wire.h"
#include "base/status_macros.h"
#include "rpc/status.h"

namespace holdfast {

grpc::Status AgentService::Answer(grpc::ServerContext& context,
                                  absl::FunctionRef<absl::Status()> handle) {
  context.AddTrailingMetadata(kAnsweredKey, "1");
  const auto caller = RequireRole(context, Holder::Role::kController);
  return ToGrpc(caller.ok() ? handle() : caller.status());
}

absl::Status AgentService::Handle(const agent::v1::CreateVolumeRequest& request,
                                  agent::v1::CreateVolumeResponse& response) {
  ASSIGN_OR_RETURN(const VolumeRequest parsed, FromWire(request));
  ASSIGN_OR_RETURN(const Volume volume, engine_.CreateVolume(parsed));
  *response.mutable_volume() = ToWire(volume);
  return absl::OkStatus();
}

absl::Status AgentService::Handle(const agent::v1::DeleteVolumeRequest& request,
                                  agent::v1::DeleteVolumeResponse&) {
  return engine_.DeleteVolume(request.id());
}

absl::Status AgentService::Handle(const agent::v1::ExpandVolumeRequest& request,
                                  agent::v1::ExpandVolumeResponse& response) {
  ASSIGN_OR_RETURN(const Volume volume,
                   engine_.ExpandVolume(request.id(), FromWire(request.capacity())));
  *response.mutable_volume() = ToWire(volume);
  return absl::OkStatus();
}

absl::Status AgentService::Handle(const agent::v1::FindVolumeRequest& request,
                                  agent::v1::FindVolumeResponse& response) {
  ASSIGN_OR_RETURN(const std::optional<Volume> volume, engine_.FindVolume(request.id()));
  if (volume) *response.mutable_volume() = ToWire(*volume);
  return absl::OkStatus();
}

absl::Status AgentService::Handle(const agent::v1::ListVolumesRequest& request,
                                  agent::v1::ListVolumesResponse& response) {
  ASSIGN_OR_RETURN(const auto volumes, engine_.ListVolumes(request.after(), request.limit()));
  response.mutable_volumes()->Reserve(static_cast<int>(volumes.size()));
  for (const ListedVolume& volume : volumes) *response.add_volumes() = ToWire(volume);
  return absl::OkStatus();
}

absl::Status AgentService::Handle(const agent::v1::ListRefusedVolumesRequest&,
                                  agent::v1::ListRefusedVolumesResponse& response) {
  ASSIGN_OR_RETURN(const auto volumes, engine_.RefusedVolumes());
  for (const RefusedVolume& volume : volumes) {
    agent::v1::RefusedVolume& wire = *response.add_volumes();
    wire.set_id(volume.id);
    for (const auto& [key, value] : volume.labels) (*wire.mutable_labels())[key] = value;
    wire.set_sentence(volume.sentence);
  }
  return absl::OkStatus();
}

absl::Status AgentService::Handle(const agent::v1::CreateSnapshotRequest& request,
                                  agent::v1::CreateSnapshotResponse& response) {
  ASSIGN_OR_RETURN(const Snapshot snapshot,
                   engine_.CreateSnapshot(request.name(), request.volume_id()));
  *response.mutable_snapshot() = ToWire(snapshot);
  return absl::OkStatus();
}

absl::Status AgentService::Handle(const agent::v1::DeleteSnapshotRequest& request,
                                  agent::v1::DeleteSnapshotResponse&) {
  return engine_.DeleteSnapshot(request.id());
}

absl::Status AgentService::Handle(const agent::v1::FindSnapshotRequest& request,
                                  agent::v1::FindSnapshotResponse& response) {
  ASSIGN_OR_RETURN(const std::optional<Snapshot> snapshot, engine_.FindSnapshot(request.id()));
  if (snapshot) *response.mutable_snapshot() = ToWire(*snapshot);
  return absl::OkStatus();
}

absl::Status AgentService::Handle(const agent::v1::ListSnapshotsRequest& request,
                                  agent::v1::ListSnapshotsResponse& response) {
  SnapshotFilter filter;
  if (request.has_id()) filter.id = request.id();
  if (request.has_volume_id()) filter.volume_id = request.volume_id();
  ASSIGN_OR_RETURN(const auto snapshots,
                   engine_.ListSnapshots(filter, request.after(), request.limit()));
  for (const Snapshot& snapshot : snapshots) *response.add_snapshots() = ToWire(snapshot);
  return absl::OkStatus();
}

absl::Status AgentService::Handle(const agent::v1::ListPoolsRequest& request,
                                  agent::v1::ListPoolsResponse& response) {
  for (const PoolStatus& pool : request.brief() ? engine_.PoolsInBrief() : engine_.Pools()) {
    *response.add_pools() = ToWire(pool);
  }
  return absl::OkStatus();
}

absl::Status AgentService::Handle(const agent::v1::GetCapacityRequest& request,
                                  agent::v1::GetCapacityResponse& response) {
  ASSIGN_OR_RETURN(const ClassParameters parameters, FromWire(request.parameters()));
  ASSIGN_OR_RETURN(const std::optional<Content> content, FromWire(request.content()));
  ASSIGN_OR_RETURN(const CapacityAnswer answer, engine_.GetCapacity(parameters, content));
  response.set_available_bytes(answer.available_bytes);
  response.set_maximum_volume_bytes(answer.maximum_volume_bytes);
  response.set_minimum_volume_bytes(answer.minimum_volume_bytes);
  return absl::OkStatus();
}

}  // namespace holdfast
