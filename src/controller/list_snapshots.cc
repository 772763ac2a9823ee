#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "controller/answers.h"
#include "controller/controller_service.h"
#include "controller/over_nodes.h"
#include "rpc/parse.h"

namespace holdfast {

// An id says whose its object is; the others need not be there to be asked.
absl::StatusOr<std::vector<StorageNodes::Node>> ControllerService::NodesThatMatch(
    const SnapshotFilter& filter) {
  if (!filter.id && !filter.volume_id) return nodes_.AllNodes();
  ASSIGN_OR_RETURN(auto node, Locate(filter.id ? *filter.id : *filter.volume_id));
  std::vector<StorageNodes::Node> nodes;
  if (node) nodes.push_back(*std::move(node));
  return nodes;
}

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
  const auto ask = [&](StorageEngine& engine) {
    return engine.ListSnapshots(filter, page.after, page.limit + 1);
  };
  ASSIGN_OR_RETURN(const auto nodes, NodesThatMatch(filter));
  ASSIGN_OR_RETURN(auto snapshots, ListOverNodes<Snapshot>(nodes, page.limit + 1, ask));
  if (snapshots.size() > page.limit) {
    snapshots.pop_back();
    response.set_next_token(MakePageToken(snapshots.back().item.id));
  }
  for (const auto& [snapshot, node] : snapshots) {
    *response.add_entries()->mutable_snapshot() = SnapshotAnswer(snapshot);
  }
  return absl::OkStatus();
}

}  // namespace holdfast
