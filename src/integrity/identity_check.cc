#include "integrity/identity_check.h"

#include <fmt/format.h>

#include "base/refusal.h"

namespace holdfast {

absl::Status CheckIdentity(const Volume& volume, const std::optional<Superblock>& found) {
  if (found && found->content == volume.content && found->uuid == volume.filesystem_uuid) {
    return absl::OkStatus();
  }
  return absl::DataLossError(
      Refusal{"filesystem of volume " + volume.id,
              fmt::format("{} {}", ContentName(volume.content), volume.filesystem_uuid),
              found ? fmt::format("{} {}", ContentName(found->content), found->uuid)
                    : std::string("no filesystem"),
              "nothing was formatted or changed; restore a snapshot into a new volume"}
          .Sentence());
}

absl::Status TellDamage(const Volume& volume, const absl::Status& status) {
  if (!absl::IsDataLoss(status) || status.message().find(volume.id) != std::string_view::npos) {
    return status;
  }
  return absl::DataLossError(
      Refusal{"filesystem of volume " + volume.id,
              fmt::format("an intact {} {}", ContentName(volume.content), volume.filesystem_uuid),
              std::string(status.message()),
              "nobody was shown it; check a copy of its image, or restore a snapshot into a new "
              "volume"}
          .Sentence());
}

}  // namespace holdfast
