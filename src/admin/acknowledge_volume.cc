#include "admin/admin_service.h"
#include "base/status_macros.h"
#include "fmt/format.h"
#include "integrity/verdict.h"
#include "rpc/parse.h"
#include "spdlog/spdlog.h"

namespace holdfast {
namespace {

// "mode 0755 (was mode 0700)": what the record says now that it did not.
std::string AcceptedText(const std::optional<RootAttributes>& recorded,
                         const RootAttributes& found) {
  const RootDifference difference = DescribeDifference(recorded.value_or(RootAttributes{}), found);
  if (!recorded) return difference.found + " (nothing was recorded)";
  return fmt::format("{} (was {})", difference.found, difference.expected);
}

}  // namespace

absl::Status AdminService::Handle(const admin::v1::AcknowledgeVolumeRequest& request,
                                  admin::v1::AcknowledgeVolumeResponse& response) {
  // Parse, lock.
  ASSIGN_OR_RETURN(const std::string id, RequireId("volume_id", request.volume_id()));
  const auto parsed = ParseId(id);
  if (!parsed) return NoSuchVolume(id);
  ASSIGN_OR_RETURN(const auto guard, engine_.locks().TryLock(VolumeKey(parsed->name_hash)));
  // Ask.
  ASSIGN_OR_RETURN(auto local, engine_.FindLocal(id));
  const StageRecord before = local.volume.stage;
  const auto as = request.as_recorded() ? Acknowledged::kAsRecorded : Acknowledged::kAsFound;
  if (absl::Status status = AcknowledgeVerdict(local.volume.stage, as); !status.ok()) {
    return absl::Status(status.code(),
                        fmt::format("volume {}: {}", id, std::string(status.message())));
  }
  // Do and commit: one row.
  RETURN_IF_ERROR(local.pool->catalog->UpdateVolume(local.volume));
  response.set_accepted(request.as_recorded()
                            ? "its root directory as recorded; the next stage compares again"
                            : AcceptedText(before.root, *before.verdict->found));
  response.set_refusal(before.verdict->sentence);
  spdlog::warn("volume {}: an administrator accepted {}", id, response.accepted());
  return absl::OkStatus();
}

}  // namespace holdfast
