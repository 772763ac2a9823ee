// The administrator's service, on a local socket of its own: what only root on this machine may
// ask.
//
// Each call goes in the same six steps as CSI's and takes the same locks: ABORTED while another
// call has the volume or snapshot.
#pragma once

#include "absl/status/status.h"
#include "engine/image/image_engine.h"
#include "engine/image/upkeep/image_upkeep.h"
#include "proto/admin/admin.grpc.pb.h"
#include "rpc/status.h"

namespace holdfast {

// One file per RPC holds its Handle overload. Thread-safe.
class AdminService final : public admin::v1::Admin::Service {
 public:
  // Both must outlive the service.
  AdminService(ImageEngine& engine, ImageUpkeep& upkeep) : engine_(engine), upkeep_(upkeep) {}

#define HOLDFAST_RPC(Name)                                                         \
  grpc::Status Name(grpc::ServerContext*, const admin::v1::Name##Request* request, \
                    admin::v1::Name##Response* response) override {                \
    return ToGrpc(Handle(*request, *response));                                    \
  }
  HOLDFAST_RPC(RestoreTrash)
  HOLDFAST_RPC(PurgeTrash)
  HOLDFAST_RPC(AdoptOrphan)
  HOLDFAST_RPC(GrowPool)
  HOLDFAST_RPC(AcknowledgeVolume)
  HOLDFAST_RPC(Examine)
#undef HOLDFAST_RPC

 private:
  absl::Status Handle(const admin::v1::RestoreTrashRequest& request,
                      admin::v1::RestoreTrashResponse& response);
  absl::Status Handle(const admin::v1::PurgeTrashRequest& request,
                      admin::v1::PurgeTrashResponse& response);
  absl::Status Handle(const admin::v1::AdoptOrphanRequest& request,
                      admin::v1::AdoptOrphanResponse& response);
  absl::Status Handle(const admin::v1::GrowPoolRequest& request,
                      admin::v1::GrowPoolResponse& response);
  absl::Status Handle(const admin::v1::AcknowledgeVolumeRequest& request,
                      admin::v1::AcknowledgeVolumeResponse& response);
  absl::Status Handle(const admin::v1::ExamineRequest& request,
                      admin::v1::ExamineResponse& response);

  ImageEngine& engine_;
  ImageUpkeep& upkeep_;
};

}  // namespace holdfast
