// Which mount a descriptor lies on.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace holdfast {

struct MountIdentity {
  uint64_t id = 0;  // as in the mount table
  // Whether the descriptor is the mount's root; nullopt when the filesystem is too broken to say.
  std::optional<bool> is_root;
};

absl::StatusOr<MountIdentity> IdentifyMount(const UniqueFd& fd);

}  // namespace holdfast
