#include "base/status_macros.h"
#include "controller/controller_service.h"
#include "fmt/format.h"
#include "rpc/parse.h"

namespace holdfast {
namespace {

absl::StatusOr<CapacityRange> ParseRange(const csi::v1::ControllerExpandVolumeRequest& request) {
  ASSIGN_OR_RETURN(CapacityRange range,
                   ParseCapacityRange("capacity_range", request.capacity_range()));
  if (range.required_bytes == 0 && range.limit_bytes == 0) {
    return absl::InvalidArgumentError(
        "capacity_range: expected required_bytes or limit_bytes, found neither");
  }
  return range;
}

absl::Status CheckCapability(const csi::v1::ControllerExpandVolumeRequest& request,
                             const Volume& volume) {
  if (!request.has_volume_capability()) return absl::OkStatus();
  ASSIGN_OR_RETURN(auto capability,
                   ParseCapability("volume_capability", request.volume_capability()));
  const bool is_block = volume.content == Content::kBlock;
  if (capability.block() != is_block ||
      (capability.content && *capability.content != volume.content)) {
    return absl::InvalidArgumentError(
        fmt::format("volume_capability: expected {}, which the volume holds, found {}",
                    ContentName(volume.content),
                    capability.content ? ContentName(*capability.content) : "mount"));
  }
  return absl::OkStatus();
}

// A block volume's loop has a capacity of its own, and whether it was told is not recorded: asking
// the node once more costs nothing.
bool NeedsNode(const Volume& volume) {
  return volume.content == Content::kBlock || volume.filesystem_bytes < volume.capacity_bytes;
}

}  // namespace

absl::Status ControllerService::Handle(const csi::v1::ControllerExpandVolumeRequest& request,
                                       csi::v1::ControllerExpandVolumeResponse& response) {
  ASSIGN_OR_RETURN(std::string id, RequireId("volume_id", request.volume_id()));
  ASSIGN_OR_RETURN(CapacityRange range, ParseRange(request));
  RETURN_IF_ERROR(ParseMap("secrets", request.secrets()).status());
  ASSIGN_OR_RETURN(const LocatedVolume found, RequireVolume(id));
  RETURN_IF_ERROR(CheckCapability(request, found.volume));
  ASSIGN_OR_RETURN(Volume volume, found.node.engine->ExpandVolume(id, range));
  response.set_capacity_bytes(static_cast<int64_t>(volume.capacity_bytes));
  response.set_node_expansion_required(NeedsNode(volume));
  return absl::OkStatus();
}

}  // namespace holdfast
