#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "controller/answers.h"
#include "controller/controller_service.h"
#include "controller/over_nodes.h"
#include "rpc/parse.h"

namespace holdfast {

absl::Status ControllerService::Handle(const csi::v1::ListVolumesRequest& request,
                                       csi::v1::ListVolumesResponse& response) {
  ASSIGN_OR_RETURN(Page page,
                   ParsePage(request.max_entries(), request.starting_token(), ObjectKind::kVolume));
  // One more than wanted tells whether there is another page.
  const auto ask = [&](StorageEngine& engine) {
    return engine.ListVolumes(page.after, page.limit + 1);
  };
  ASSIGN_OR_RETURN(const auto nodes, nodes_.AllNodes());
  ASSIGN_OR_RETURN(auto volumes, ListOverNodes<ListedVolume>(nodes, page.limit + 1, ask));
  if (volumes.size() > page.limit) {
    volumes.pop_back();
    response.set_next_token(MakePageToken(volumes.back().item.id));
  }
  response.mutable_entries()->Reserve(static_cast<int>(volumes.size()));
  for (auto& [volume, node] : volumes) {
    AnswerVolume(std::move(volume), *node, *response.add_entries()->mutable_volume());
  }
  return absl::OkStatus();
}

}  // namespace holdfast
