#include "base/build_info.h"
#include "node/node_service.h"

namespace holdfast {

absl::Status NodeService::Handle(const csi::v1::NodeGetInfoRequest&,
                                 csi::v1::NodeGetInfoResponse& response) {
  response.set_node_id(options_.node_id);
  response.set_max_volumes_per_node(options_.max_volumes);
  (*response.mutable_accessible_topology()->mutable_segments())[kNodeTopologyKey] =
      options_.node_id;
  return absl::OkStatus();
}

}  // namespace holdfast
