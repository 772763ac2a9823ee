#include "base/status_macros.h"
#include "controller/answers.h"
#include "controller/controller_service.h"
#include "rpc/parse.h"

namespace holdfast {

absl::Status ControllerService::Handle(const csi::v1::ListSnapshotsRequest& request,
                                       csi::v1::ListSnapshotsResponse& response) {
  ASSIGN_OR_RETURN(
      Page page, ParsePage(request.max_entries(), request.starting_token(), ObjectKind::kSnapshot));
  RETURN_IF_ERROR(ParseMap("secrets", request.secrets()).status());
  // An id that nothing has, of whatever form, filters everything out.
  SnapshotFilter filter;
  if (!request.snapshot_id().empty()) filter.id = request.snapshot_id();
  if (!request.source_volume_id().empty()) filter.volume_id = request.source_volume_id();
  // One more than wanted tells whether there is another page.
  ASSIGN_OR_RETURN(auto snapshots, engine_.ListSnapshots(filter, page.after, page.limit + 1));
  if (snapshots.size() > page.limit) {
    snapshots.resize(page.limit);
    response.set_next_token(MakePageToken(snapshots.back().id));
  }
  for (const Snapshot& snapshot : snapshots) {
    *response.add_entries()->mutable_snapshot() = SnapshotAnswer(snapshot);
  }
  return absl::OkStatus();
}

}  // namespace holdfast
