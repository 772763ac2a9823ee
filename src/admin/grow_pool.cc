#include "admin/admin_service.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "spdlog/spdlog.h"

namespace holdfast {
namespace {

void Fill(const PoolSpace& space, admin::v1::GrowPoolResponse::Space& message) {
  message.set_size_bytes(space.size_bytes);
  message.set_free_bytes(space.free_bytes);
  message.set_owed_bytes(space.owed_bytes);
  message.set_floor_bytes(space.floor_bytes);
}

}  // namespace

absl::Status AdminService::Handle(const admin::v1::GrowPoolRequest& request,
                                  admin::v1::GrowPoolResponse& response) {
  ASSIGN_OR_RETURN(const ImageUpkeep::Growth growth, upkeep_.GrowPool(request.pool()));
  response.set_name(growth.after.name);
  Fill(growth.before.space, *response.mutable_before());
  Fill(growth.after.space, *response.mutable_after());
  spdlog::info("pool {} grew from {} to {}", growth.after.name,
               FormatBytes(growth.before.space.size_bytes),
               FormatBytes(growth.after.space.size_bytes));
  return absl::OkStatus();
}

}  // namespace holdfast
