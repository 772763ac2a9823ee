#include "controller/controller_service.h"

#include <utility>

#include "base/status_macros.h"
#include "fmt/format.h"
#include "rpc/parse.h"
#include "volume/ids.h"

namespace holdfast {

absl::StatusOr<std::optional<StorageNodes::Node>> ControllerService::Locate(std::string_view id) {
  const std::optional<ParsedId> parsed = ParseId(id);
  if (!parsed) return std::nullopt;
  ASSIGN_OR_RETURN(StorageNodes::Node node, nodes_.NodeOfPool(parsed->pool_uuid));
  return node;
}

absl::StatusOr<ControllerService::LocatedVolume> ControllerService::RequireVolume(
    std::string_view id) {
  ASSIGN_OR_RETURN(auto node, Locate(id));
  std::optional<Volume> volume;
  if (node) {
    ASSIGN_OR_RETURN(volume, node->engine->FindVolume(id));
  }
  if (!volume) return absl::NotFoundError(fmt::format("no volume {}", Quoted(id)));
  return LocatedVolume{*std::move(node), *std::move(volume)};
}

}  // namespace holdfast
