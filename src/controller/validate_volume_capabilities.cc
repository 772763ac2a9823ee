#include "base/status_macros.h"
#include "controller/controller_service.h"
#include "fmt/format.h"
#include "rpc/parse.h"
#include "volume/class_parameters.h"

namespace holdfast {
namespace {

// Whether `volume` is what the request describes; the message says what is not.
absl::Status Matches(const Volume& volume,
                     const csi::v1::ValidateVolumeCapabilitiesRequest& request) {
  ASSIGN_OR_RETURN(auto capabilities,
                   ParseCapabilities("volume_capabilities", request.volume_capabilities()));
  const bool wants_block = capabilities.each.front().block();
  const bool is_block = volume.content == Content::kBlock;
  if (wants_block != is_block ||
      (capabilities.content && *capabilities.content != volume.content)) {
    return absl::InvalidArgumentError(
        fmt::format("volume_capabilities: expected {}, which the volume holds, found {}",
                    ContentName(volume.content),
                    capabilities.content ? ContentName(*capabilities.content) : "mount"));
  }
  if (request.parameters().empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(auto parameters, ParseMap("parameters", request.parameters()));
  ASSIGN_OR_RETURN(auto parsed, ParseClassParameters(parameters));
  if (!(parsed.parameters == volume.parameters)) {
    return absl::InvalidArgumentError(
        "parameters: expected those the volume was created with, found others");
  }
  return absl::OkStatus();
}

}  // namespace

// CSI: what a volume cannot do is no error but an answer without a confirmation.
absl::Status ControllerService::Handle(const csi::v1::ValidateVolumeCapabilitiesRequest& request,
                                       csi::v1::ValidateVolumeCapabilitiesResponse& response) {
  ASSIGN_OR_RETURN(std::string id, RequireId("volume_id", request.volume_id()));
  if (request.volume_capabilities().empty()) {
    return absl::InvalidArgumentError("volume_capabilities: expected at least one, found none");
  }
  RETURN_IF_ERROR(ParseMap("volume_context", request.volume_context()).status());
  RETURN_IF_ERROR(ParseMap("secrets", request.secrets()).status());
  ASSIGN_OR_RETURN(const LocatedVolume found, RequireVolume(id));
  if (absl::Status status = Matches(found.volume, request); !status.ok()) {
    response.set_message(std::string(status.message()));
    return absl::OkStatus();
  }
  auto& confirmed = *response.mutable_confirmed();
  *confirmed.mutable_volume_context() = request.volume_context();
  *confirmed.mutable_volume_capabilities() = request.volume_capabilities();
  *confirmed.mutable_parameters() = request.parameters();
  return absl::OkStatus();
}

}  // namespace holdfast
