#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "controller/controller_service.h"
#include "controller/placement.h"
#include "rpc/parse.h"
#include "volume/class_parameters.h"

namespace holdfast {
namespace {

// Those whose capacity is asked for.
absl::StatusOr<std::vector<StorageNodes::Node>> NodesOf(const csi::v1::GetCapacityRequest& request,
                                                        StorageNodes& nodes) {
  if (!request.has_accessible_topology()) return nodes.Nodes();
  std::vector<StorageNodes::Node> asked;
  const auto name = NodeOfTopology(request.accessible_topology());
  if (!name) return asked;
  absl::StatusOr<StorageNodes::Node> node = nodes.FindNode(*name);
  if (absl::IsNotFound(node.status())) return asked;
  RETURN_IF_ERROR(node.status());
  asked.push_back(*std::move(node));
  return asked;
}

void Add(const CapacityAnswer& more, CapacityAnswer& sum) {
  sum.available_bytes += more.available_bytes;
  sum.maximum_volume_bytes = std::max(sum.maximum_volume_bytes, more.maximum_volume_bytes);
  sum.minimum_volume_bytes = sum.minimum_volume_bytes == 0
                                 ? more.minimum_volume_bytes
                                 : std::min(sum.minimum_volume_bytes, more.minimum_volume_bytes);
}

}  // namespace

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
  ASSIGN_OR_RETURN(const auto nodes, NodesOf(request, nodes_));
  CapacityAnswer answer;  // of a topology that no node has there is nothing
  for (const StorageNodes::Node& node : nodes) {
    if (!HasPool(node, parsed.parameters.pool)) continue;
    ASSIGN_OR_RETURN(const CapacityAnswer of_node,
                     node.engine->GetCapacity(parsed.parameters, content));
    Add(of_node, answer);
  }
  response.set_available_capacity(static_cast<int64_t>(answer.available_bytes));
  response.mutable_maximum_volume_size()->set_value(
      static_cast<int64_t>(answer.maximum_volume_bytes));
  response.mutable_minimum_volume_size()->set_value(
      static_cast<int64_t>(answer.minimum_volume_bytes));
  return absl::OkStatus();
}

}  // namespace holdfast
