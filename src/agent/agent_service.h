// The agent's service: the storage of this node for the controller, and for nobody else.
//
// Each method hands the request to the engine as it is; what it refuses comes back with its code
// and sentence. A call goes on when its client is gone: the repeated one meets ABORTED and then the
// answer.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "engine/storage_engine.h"
#include "proto/agent/agent.grpc.pb.h"

namespace holdfast {

// Said with every answer, so that the client can tell it from what the network makes up.
inline constexpr char kAnsweredKey[] = "holdfast-answered";

// Thread-safe. UNAUTHENTICATED, PERMISSION_DENIED: agent/tls.h, RequireRole.
class AgentService final : public agent::v1::Storage::Service {
 public:
  // `engine` must outlive the service.
  explicit AgentService(StorageEngine& engine) : engine_(engine) {}

#define HOLDFAST_RPC(Name)                                                                 \
  grpc::Status Name(grpc::ServerContext* context, const agent::v1::Name##Request* request, \
                    agent::v1::Name##Response* response) override {                        \
    return Answer(*context, [&] { return Handle(*request, *response); });                  \
  }
  HOLDFAST_RPC(CreateVolume)
  HOLDFAST_RPC(DeleteVolume)
  HOLDFAST_RPC(ExpandVolume)
  HOLDFAST_RPC(FindVolume)
  HOLDFAST_RPC(ListVolumes)
  HOLDFAST_RPC(ListRefusedVolumes)
  HOLDFAST_RPC(CreateSnapshot)
  HOLDFAST_RPC(DeleteSnapshot)
  HOLDFAST_RPC(FindSnapshot)
  HOLDFAST_RPC(ListSnapshots)
  HOLDFAST_RPC(ListPools)
  HOLDFAST_RPC(GetCapacity)
#undef HOLDFAST_RPC

 private:
  static grpc::Status Answer(grpc::ServerContext& context,
                             absl::FunctionRef<absl::Status()> handle);

  absl::Status Handle(const agent::v1::CreateVolumeRequest& request,
                      agent::v1::CreateVolumeResponse& response);
  absl::Status Handle(const agent::v1::DeleteVolumeRequest& request,
                      agent::v1::DeleteVolumeResponse& response);
  absl::Status Handle(const agent::v1::ExpandVolumeRequest& request,
                      agent::v1::ExpandVolumeResponse& response);
  absl::Status Handle(const agent::v1::FindVolumeRequest& request,
                      agent::v1::FindVolumeResponse& response);
  absl::Status Handle(const agent::v1::ListVolumesRequest& request,
                      agent::v1::ListVolumesResponse& response);
  absl::Status Handle(const agent::v1::ListRefusedVolumesRequest& request,
                      agent::v1::ListRefusedVolumesResponse& response);
  absl::Status Handle(const agent::v1::CreateSnapshotRequest& request,
                      agent::v1::CreateSnapshotResponse& response);
  absl::Status Handle(const agent::v1::DeleteSnapshotRequest& request,
                      agent::v1::DeleteSnapshotResponse& response);
  absl::Status Handle(const agent::v1::FindSnapshotRequest& request,
                      agent::v1::FindSnapshotResponse& response);
  absl::Status Handle(const agent::v1::ListSnapshotsRequest& request,
                      agent::v1::ListSnapshotsResponse& response);
  absl::Status Handle(const agent::v1::ListPoolsRequest& request,
                      agent::v1::ListPoolsResponse& response);
  absl::Status Handle(const agent::v1::GetCapacityRequest& request,
                      agent::v1::GetCapacityResponse& response);

  StorageEngine& engine_;
};

}  // namespace holdfast
