#include "base/status_macros.h"
#include "controller/controller_service.h"
#include "rpc/parse.h"
#include "volume/class_parameters.h"

namespace holdfast {

absl::Status ControllerService::Handle(const csi::v1::GetCapacityRequest& request,
                                       csi::v1::GetCapacityResponse& response) {
  std::optional<Content> content;
  if (!request.volume_capabilities().empty()) {
    ASSIGN_OR_RETURN(auto capabilities,
                     ParseCapabilities("volume_capabilities", request.volume_capabilities()));
    content = capabilities.content;
  }
  ASSIGN_OR_RETURN(auto parameters, ParseMap("parameters", request.parameters()));
  ASSIGN_OR_RETURN(auto parsed, ParseClassParameters(parameters));
  CapacityAnswer answer;  // of another node's topology there is nothing here
  if (!request.has_accessible_topology() ||
      NamesNode(request.accessible_topology(), options_.node_id)) {
    ASSIGN_OR_RETURN(answer, engine_.GetCapacity(parsed.parameters, content));
  }
  response.set_available_capacity(static_cast<int64_t>(answer.available_bytes));
  response.mutable_maximum_volume_size()->set_value(
      static_cast<int64_t>(answer.maximum_volume_bytes));
  response.mutable_minimum_volume_size()->set_value(
      static_cast<int64_t>(answer.minimum_volume_bytes));
  return absl::OkStatus();
}

}  // namespace holdfast
