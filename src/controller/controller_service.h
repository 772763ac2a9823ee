// The CSI Controller service: parse, find the node, ask its engine, answer. It keeps nothing and
// touches no machine, so any number of threads may call it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/storage_nodes.h"
#include "proto/csi/csi.grpc.pb.h"
#include "rpc/status.h"

namespace holdfast {

// One file per RPC holds its Handle overload; what is not overridden is UNIMPLEMENTED. Status
// codes: rpc/parse.h for what is asked wrongly, storage_engine.h for what comes from an engine,
// storage_nodes.h for nodes that cannot be asked.
class ControllerService final : public csi::v1::Controller::Service {
 public:
  // `nodes` must outlive the service.
  explicit ControllerService(StorageNodes& nodes) : nodes_(nodes) {}

#define HOLDFAST_RPC(Name)                                                       \
  grpc::Status Name(grpc::ServerContext*, const csi::v1::Name##Request* request, \
                    csi::v1::Name##Response* response) override {                \
    return ToGrpc(Handle(*request, *response));                                  \
  }
  HOLDFAST_RPC(CreateVolume)
  HOLDFAST_RPC(DeleteVolume)
  HOLDFAST_RPC(ValidateVolumeCapabilities)
  HOLDFAST_RPC(ListVolumes)
  HOLDFAST_RPC(ControllerGetVolume)
  HOLDFAST_RPC(GetCapacity)
  HOLDFAST_RPC(CreateSnapshot)
  HOLDFAST_RPC(DeleteSnapshot)
  HOLDFAST_RPC(ListSnapshots)
  HOLDFAST_RPC(GetSnapshot)
  HOLDFAST_RPC(ControllerExpandVolume)
  HOLDFAST_RPC(ControllerGetCapabilities)
#undef HOLDFAST_RPC

 private:
  absl::Status Handle(const csi::v1::CreateVolumeRequest& request,
                      csi::v1::CreateVolumeResponse& response);
  absl::Status Handle(const csi::v1::DeleteVolumeRequest& request,
                      csi::v1::DeleteVolumeResponse& response);
  absl::Status Handle(const csi::v1::ValidateVolumeCapabilitiesRequest& request,
                      csi::v1::ValidateVolumeCapabilitiesResponse& response);
  absl::Status Handle(const csi::v1::ListVolumesRequest& request,
                      csi::v1::ListVolumesResponse& response);
  absl::Status Handle(const csi::v1::ControllerGetVolumeRequest& request,
                      csi::v1::ControllerGetVolumeResponse& response);
  absl::Status Handle(const csi::v1::GetCapacityRequest& request,
                      csi::v1::GetCapacityResponse& response);
  absl::Status Handle(const csi::v1::CreateSnapshotRequest& request,
                      csi::v1::CreateSnapshotResponse& response);
  absl::Status Handle(const csi::v1::DeleteSnapshotRequest& request,
                      csi::v1::DeleteSnapshotResponse& response);
  absl::Status Handle(const csi::v1::ListSnapshotsRequest& request,
                      csi::v1::ListSnapshotsResponse& response);
  absl::Status Handle(const csi::v1::GetSnapshotRequest& request,
                      csi::v1::GetSnapshotResponse& response);
  absl::Status Handle(const csi::v1::ControllerExpandVolumeRequest& request,
                      csi::v1::ControllerExpandVolumeResponse& response);
  absl::Status Handle(const csi::v1::ControllerGetCapabilitiesRequest& request,
                      csi::v1::ControllerGetCapabilitiesResponse& response);

  // The node with the pool that an id names. nullopt: no such thing can be, whatever is asked.
  absl::StatusOr<std::optional<StorageNodes::Node>> Locate(std::string_view id);
  struct LocatedVolume {
    StorageNodes::Node node;
    Volume volume;
  };
  // NOT_FOUND when there is none.
  absl::StatusOr<LocatedVolume> RequireVolume(std::string_view id);

  absl::StatusOr<std::vector<StorageNodes::Node>> NodesThatMatch(const SnapshotFilter& filter);

  StorageNodes& nodes_;
};

}  // namespace holdfast
