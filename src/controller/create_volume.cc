#include "base/status_macros.h"
#include "controller/answers.h"
#include "controller/controller_service.h"
#include "controller/placement.h"
#include "fmt/format.h"
#include "rpc/parse.h"
#include "volume/class_parameters.h"

namespace holdfast {
namespace {

absl::StatusOr<Source> ParseSource(const csi::v1::CreateVolumeRequest& request) {
  if (!request.has_volume_content_source()) return Source{};
  const csi::v1::VolumeContentSource& source = request.volume_content_source();
  switch (source.type_case()) {
    case csi::v1::VolumeContentSource::kSnapshot: {
      ASSIGN_OR_RETURN(auto id, RequireId("volume_content_source.snapshot.snapshot_id",
                                          source.snapshot().snapshot_id()));
      return Source{.kind = Source::Kind::kSnapshot, .id = id};
    }
    case csi::v1::VolumeContentSource::kVolume: {
      ASSIGN_OR_RETURN(auto id, RequireId("volume_content_source.volume.volume_id",
                                          source.volume().volume_id()));
      return Source{.kind = Source::Kind::kVolume, .id = id};
    }
    case csi::v1::VolumeContentSource::TYPE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError(
      "volume_content_source: expected a snapshot or a volume, found neither");
}

absl::StatusOr<VolumeRequest> Parse(const csi::v1::CreateVolumeRequest& request) {
  VolumeRequest parsed;
  ASSIGN_OR_RETURN(parsed.name, ParseName("name", request.name()));
  ASSIGN_OR_RETURN(auto capabilities,
                   ParseCapabilities("volume_capabilities", request.volume_capabilities()));
  // "A filesystem, any" is nullopt in both types.
  parsed.content = capabilities.content;
  ASSIGN_OR_RETURN(parsed.capacity, ParseCapacityRange("capacity_range", request.capacity_range()));
  ASSIGN_OR_RETURN(auto parameters, ParseMap("parameters", request.parameters()));
  ASSIGN_OR_RETURN(auto class_parameters, ParseClassParameters(parameters));
  parsed.parameters = std::move(class_parameters.parameters);
  parsed.labels = std::move(class_parameters.labels);
  ASSIGN_OR_RETURN(parsed.source, ParseSource(request));
  RETURN_IF_ERROR(ParseMap("secrets", request.secrets()).status());
  if (!request.mutable_parameters().empty()) {
    return absl::InvalidArgumentError(
        fmt::format("mutable_parameters: expected none, found {}; volumes cannot be modified yet, "
                    "remove the VolumeAttributesClass",
                    request.mutable_parameters().size()));
  }
  return parsed;
}

}  // namespace

absl::Status ControllerService::Handle(const csi::v1::CreateVolumeRequest& request,
                                       csi::v1::CreateVolumeResponse& response) {
  ASSIGN_OR_RETURN(VolumeRequest parsed, Parse(request));
  const NodeChoice choice = ParseTopologyRequirement(request.accessibility_requirements());
  ASSIGN_OR_RETURN(const PlacedVolume placed, CreateSomewhere(nodes_, choice, parsed));
  *response.mutable_volume() = VolumeAnswer(placed.volume, placed.node);
  return absl::OkStatus();
}

}  // namespace holdfast
