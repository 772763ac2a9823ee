#include "controller/controller_service.h"

namespace holdfast {

absl::Status ControllerService::Handle(const csi::v1::ControllerGetCapabilitiesRequest&,
                                       csi::v1::ControllerGetCapabilitiesResponse& response) {
  using Rpc = csi::v1::ControllerServiceCapability::RPC;
  for (const Rpc::Type type :
       {Rpc::CREATE_DELETE_VOLUME, Rpc::LIST_VOLUMES, Rpc::GET_CAPACITY,
        Rpc::CREATE_DELETE_SNAPSHOT, Rpc::LIST_SNAPSHOTS, Rpc::CLONE_VOLUME, Rpc::EXPAND_VOLUME,
        Rpc::GET_VOLUME, Rpc::GET_SNAPSHOT, Rpc::SINGLE_NODE_MULTI_WRITER}) {
    response.add_capabilities()->mutable_rpc()->set_type(type);
  }
  return absl::OkStatus();
}

}  // namespace holdfast
