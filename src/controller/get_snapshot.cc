#include "base/status_macros.h"
#include "controller/answers.h"
#include "controller/controller_service.h"
#include "fmt/format.h"
#include "rpc/parse.h"

namespace holdfast {

absl::Status ControllerService::Handle(const csi::v1::GetSnapshotRequest& request,
                                       csi::v1::GetSnapshotResponse& response) {
  ASSIGN_OR_RETURN(std::string id, RequireId("snapshot_id", request.snapshot_id()));
  RETURN_IF_ERROR(ParseMap("secrets", request.secrets()).status());
  ASSIGN_OR_RETURN(const auto node, Locate(id));
  std::optional<Snapshot> snapshot;
  if (node) {
    ASSIGN_OR_RETURN(snapshot, node->engine->FindSnapshot(id));
  }
  if (!snapshot) return absl::NotFoundError(fmt::format("no snapshot {}", Quoted(id)));
  *response.mutable_snapshot() = SnapshotAnswer(*snapshot);
  return absl::OkStatus();
}

}  // namespace holdfast
