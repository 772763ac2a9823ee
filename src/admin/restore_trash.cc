#include "admin/admin_service.h"
#include "base/status_macros.h"
#include "rpc/parse.h"
#include "spdlog/spdlog.h"

namespace holdfast {

absl::Status AdminService::Handle(const admin::v1::RestoreTrashRequest& request,
                                  admin::v1::RestoreTrashResponse& response) {
  ASSIGN_OR_RETURN(const std::string incarnation, RequireId("incarnation", request.incarnation()));
  ASSIGN_OR_RETURN(const TrashEntry entry, upkeep_.RestoreTrash(incarnation));
  spdlog::info("{} is back from the trash", entry.id);
  response.set_id(entry.id);
  response.set_name(entry.name);
  return absl::OkStatus();
}

}  // namespace holdfast
