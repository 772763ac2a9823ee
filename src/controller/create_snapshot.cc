#include "base/build_info.h"
#include "base/status_macros.h"
#include "controller/answers.h"
#include "controller/controller_service.h"
#include "fmt/format.h"
#include "rpc/parse.h"

namespace holdfast {
namespace {

constexpr std::string_view kSidecarPrefix = "csi.storage.k8s.io/";

absl::Status CheckParameters(const ProtoMap& map) {
  ASSIGN_OR_RETURN(auto parameters, ParseMap("parameters", map));
  for (const auto& [key, value] : parameters) {
    if (!key.starts_with(kSidecarPrefix)) {
      return absl::InvalidArgumentError(fmt::format(
          "parameters: expected none but {}*, found {}; remove it from the VolumeSnapshotClass",
          kSidecarPrefix, Quoted(key)));
    }
  }
  return absl::OkStatus();
}

// A snapshot lies where its volume does.
absl::Status CheckAllowed(const NodeChoice& choice, const std::string& node) {
  if (choice.Allows(node)) return absl::OkStatus();
  return absl::ResourceExhaustedError(fmt::format(
      "accessibility_requirements: expected {}={}, where the volume is, among the requisite "
      "topologies, found {} others",
      kNodeTopologyKey, node, choice.requisite.size()));
}

}  // namespace

absl::Status ControllerService::Handle(const csi::v1::CreateSnapshotRequest& request,
                                       csi::v1::CreateSnapshotResponse& response) {
  ASSIGN_OR_RETURN(std::string volume_id,
                   RequireId("source_volume_id", request.source_volume_id()));
  ASSIGN_OR_RETURN(std::string name, ParseName("name", request.name()));
  RETURN_IF_ERROR(CheckParameters(request.parameters()));
  RETURN_IF_ERROR(ParseMap("secrets", request.secrets()).status());
  const NodeChoice choice = ParseTopologyRequirement(request.accessibility_requirements());
  ASSIGN_OR_RETURN(const auto node, Locate(volume_id));
  if (!node) return absl::NotFoundError(fmt::format("no volume {}", Quoted(volume_id)));
  RETURN_IF_ERROR(CheckAllowed(choice, node->name));
  ASSIGN_OR_RETURN(Snapshot snapshot, node->engine->CreateSnapshot(name, volume_id));
  *response.mutable_snapshot() = SnapshotAnswer(snapshot);
  return absl::OkStatus();
}

}  // namespace holdfast
