#include "base/status_macros.h"
#include "controller/controller_service.h"
#include "rpc/parse.h"

namespace holdfast {

absl::Status ControllerService::Handle(const csi::v1::DeleteSnapshotRequest& request,
                                       csi::v1::DeleteSnapshotResponse&) {
  ASSIGN_OR_RETURN(std::string id, RequireId("snapshot_id", request.snapshot_id()));
  RETURN_IF_ERROR(ParseMap("secrets", request.secrets()).status());
  ASSIGN_OR_RETURN(const auto node, Locate(id));
  return node ? node->engine->DeleteSnapshot(id) : absl::OkStatus();
}

}  // namespace holdfast
