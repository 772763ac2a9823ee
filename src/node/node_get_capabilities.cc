#include "node/node_service.h"

namespace holdfast {

absl::Status NodeService::Handle(const csi::v1::NodeGetCapabilitiesRequest&,
                                 csi::v1::NodeGetCapabilitiesResponse& response) {
  using Rpc = csi::v1::NodeServiceCapability::RPC;
  for (const Rpc::Type type : {Rpc::STAGE_UNSTAGE_VOLUME, Rpc::GET_VOLUME_STATS, Rpc::EXPAND_VOLUME,
                               Rpc::SINGLE_NODE_MULTI_WRITER}) {
    response.add_capabilities()->mutable_rpc()->set_type(type);
  }
  return absl::OkStatus();
}

}  // namespace holdfast
