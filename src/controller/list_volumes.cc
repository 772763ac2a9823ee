#include <utility>

#include "base/status_macros.h"
#include "controller/answers.h"
#include "controller/controller_service.h"
#include "rpc/parse.h"

namespace holdfast {

absl::Status ControllerService::Handle(const csi::v1::ListVolumesRequest& request,
                                       csi::v1::ListVolumesResponse& response) {
  ASSIGN_OR_RETURN(Page page,
                   ParsePage(request.max_entries(), request.starting_token(), ObjectKind::kVolume));
  // One more than wanted tells whether there is another page.
  ASSIGN_OR_RETURN(auto volumes, engine_.ListVolumes(page.after, page.limit + 1));
  if (volumes.size() > page.limit) {
    volumes.resize(page.limit);
    response.set_next_token(MakePageToken(volumes.back().id));
  }
  response.mutable_entries()->Reserve(static_cast<int>(volumes.size()));
  for (ListedVolume& volume : volumes) {
    AnswerVolume(std::move(volume), options_.node_id, *response.add_entries()->mutable_volume());
  }
  return absl::OkStatus();
}

}  // namespace holdfast
