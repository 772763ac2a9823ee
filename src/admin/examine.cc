#include "admin/admin_service.h"
#include "base/status_macros.h"
#include "spdlog/spdlog.h"

namespace holdfast {
namespace {

void Fill(const Finding& finding, admin::v1::ExamineResponse::Finding& message) {
  message.set_kind(finding.kind);
  message.set_pool(finding.pool);
  message.set_object(finding.object);
  message.set_expected(finding.expected);
  message.set_found(finding.found);
  message.set_fix(finding.fix);
  message.set_offered(finding.offered);
  message.set_done(finding.done);
  message.set_failure(finding.failure);
}

}  // namespace

absl::Status AdminService::Handle(const admin::v1::ExamineRequest& request,
                                  admin::v1::ExamineResponse& response) {
  ASSIGN_OR_RETURN(const Examination examination, upkeep_.Examine(request.fix()));
  for (const Finding& finding : examination.findings) {
    Fill(finding, *response.add_findings());
    if (finding.done) {
      spdlog::warn("doctor: {} {}: {}", finding.kind, finding.object, finding.fix);
    } else if (!finding.failure.empty()) {
      spdlog::error("doctor: {} {}: {}", finding.kind, finding.object, finding.failure);
    }
  }
  response.set_pools(engine_.pools().size() + engine_.refused_pools().size());
  response.set_volumes(examination.examined.volumes);
  response.set_snapshots(examination.examined.snapshots);
  response.set_trash_entries(examination.examined.trash_entries);
  response.set_files(examination.examined.files);
  response.set_loops(examination.examined.loops);
  return absl::OkStatus();
}

}  // namespace holdfast
