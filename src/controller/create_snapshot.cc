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

}  // namespace

absl::Status ControllerService::Handle(const csi::v1::CreateSnapshotRequest& request,
                                       csi::v1::CreateSnapshotResponse& response) {
  ASSIGN_OR_RETURN(std::string volume_id,
                   RequireId("source_volume_id", request.source_volume_id()));
  ASSIGN_OR_RETURN(std::string name, ParseName("name", request.name()));
  RETURN_IF_ERROR(CheckParameters(request.parameters()));
  RETURN_IF_ERROR(ParseMap("secrets", request.secrets()).status());
  RETURN_IF_ERROR(CheckTopology(request.accessibility_requirements(), options_.node_id));
  ASSIGN_OR_RETURN(Snapshot snapshot, engine_.CreateSnapshot(name, volume_id));
  *response.mutable_snapshot() = SnapshotAnswer(snapshot);
  return absl::OkStatus();
}

}  // namespace holdfast
