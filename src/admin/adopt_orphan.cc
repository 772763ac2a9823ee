#include "admin/admin_service.h"
#include "base/status_macros.h"
#include "fmt/format.h"
#include "rpc/parse.h"
#include "spdlog/spdlog.h"

namespace holdfast {
namespace {

absl::StatusOr<AdoptRequest> Parse(const admin::v1::AdoptOrphanRequest& request) {
  AdoptRequest parsed{.folder = request.folder(),
                      .file = request.file(),
                      .name = {},
                      .raw_block = request.raw_block(),
                      .thick = request.thick()};
  if (parsed.folder != "volumes" && parsed.folder != "snapshots" && parsed.folder != "trash") {
    return absl::InvalidArgumentError(
        fmt::format("folder: expected volumes, snapshots or trash, found {}; what lies in work/ is "
                    "half-made and goes at the next start",
                    Quoted(parsed.folder)));
  }
  const bool component = !parsed.file.empty() && parsed.file != "." && parsed.file != ".." &&
                         parsed.file.find_first_of(std::string_view("/\0", 2)) == std::string::npos;
  if (!component) {
    return absl::InvalidArgumentError(
        fmt::format("file: expected the name of a file, found {}", Quoted(parsed.file)));
  }
  ASSIGN_OR_RETURN(parsed.name, ParseName("name", request.name()));
  return parsed;
}

std::string Baseline(const Volume& volume) {
  const auto& root = volume.stage.root;
  if (!root) return "";
  return fmt::format("inode {} mode {:04o} owner {}:{}", root->inode, root->mode, root->owner,
                     root->group);
}

}  // namespace

absl::Status AdminService::Handle(const admin::v1::AdoptOrphanRequest& request,
                                  admin::v1::AdoptOrphanResponse& response) {
  ASSIGN_OR_RETURN(const AdoptRequest parsed, Parse(request));
  ASSIGN_OR_RETURN(const Volume volume, upkeep_.Adopt(request.pool(), parsed));
  response.set_volume_id(volume.id);
  response.set_content(ContentName(volume.content));
  response.set_capacity_bytes(volume.capacity_bytes);
  response.set_filesystem_uuid(volume.filesystem_uuid);
  response.set_baseline(Baseline(volume));
  spdlog::warn(
      "{} is adopted from {}/{}: nothing was recorded of it before; the baseline of its "
      "root directory is what was found: {}",
      volume.id, parsed.folder, Quoted(parsed.file),
      response.baseline().empty() ? "none, it is raw block" : response.baseline());
  return absl::OkStatus();
}

}  // namespace holdfast
