#include "admin/admin_service.h"
#include "base/status_macros.h"
#include "rpc/parse.h"
#include "spdlog/spdlog.h"

namespace holdfast {

absl::Status AdminService::Handle(const admin::v1::PurgeTrashRequest& request,
                                  admin::v1::PurgeTrashResponse& response) {
  ASSIGN_OR_RETURN(const std::string incarnation, RequireId("incarnation", request.incarnation()));
  ASSIGN_OR_RETURN(const bool purged, upkeep_.PurgeTrash(incarnation));
  if (purged) spdlog::info("{} is purged from the trash", incarnation);
  response.set_purged(purged);
  return absl::OkStatus();
}

}  // namespace holdfast
