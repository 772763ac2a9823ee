// A snapshot: an immutable reflink copy of a volume's image.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "volume/volume.h"

namespace holdfast {

// kFrozen: the filesystem was frozen over the cut. kOffline: the volume was not in use.
// kCrash: as after a power cut, for it is a raw block volume in use, or nobody saw how its last use
// ended.
enum class Consistency { kFrozen, kOffline, kCrash };

struct Snapshot {
  std::string id;
  std::string name;
  std::string incarnation;  // UUID; names the file
  ObjectState state = ObjectState::kCreating;
  std::string volume_id;  // of the source, which may be gone
  std::string volume_incarnation;
  Content content = Content::kExt4;
  uint64_t size_bytes = 0;  // what a restore needs: the source's capacity at the cut
  uint64_t filesystem_bytes = 0;
  std::string filesystem_uuid;                       // the source's; a clone gets its own
  Provisioning provisioning = Provisioning::kThick;  // the source's
  Consistency consistency = Consistency::kOffline;
  uint64_t extents = 0;                // of the file, when it was cut
  int64_t created_unix_nanos = 0;      // of the cut
  std::optional<RootAttributes> root;  // at the cut, as far as it was recorded
  // Nobody saw how the volume's last use ended: the root may lawfully differ by what a workload can
  // change.
  bool root_may_differ = false;
};

// "frozen", "offline", "crash".
const char* ConsistencyName(Consistency consistency);

}  // namespace holdfast
