// What the model knows of a volume or a snapshot, and the calls that ask about it or change it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "proto/csi/csi.pb.h"
#include "volume/volume.h"

namespace holdfast::load {

using Mode = csi::v1::VolumeCapability::AccessMode::Mode;

// Volumes and snapshots are named by the number of their slot; a slot's name, and so its id, stays.
inline constexpr int kNone = -1;

// The two last ones are no calls: a pod writes and reads what is in its volume.
enum class Method {
  kCreateVolume,
  kDeleteVolume,
  kExpandVolume,
  kValidate,
  kGetVolume,
  kCreateSnapshot,
  kDeleteSnapshot,
  kGetSnapshot,
  kStage,
  kUnstage,
  kPublish,
  kUnpublish,
  kStats,
  kNodeExpand,
  kListVolumes,
  kListSnapshots,
  kGetCapacity,
  kWriteTag,
  kReadTag,
};
inline constexpr int kMethods = 19;
const char* MethodName(Method method);

struct Terms {
  Mode mode = csi::v1::VolumeCapability::AccessMode::SINGLE_NODE_WRITER;
  std::string flag;  // one mount flag, or none
  bool read_only() const;
  bool no_atime() const { return flag == "noatime"; }
  bool operator==(const Terms&) const = default;
};
bool AllowsTwoTargets(Mode mode);

// How a pod is shown its volume.
struct Target {
  bool read_only = false, no_atime = false;
  bool operator==(const Target&) const = default;
};

struct VolumeState {
  Content content = Content::kExt4;
  uint64_t capacity_bytes = 0;
  bool grown = true;  // its filesystem has the volume's size
  bool thick = true;
  // Where it came from; at most one of them.
  int source_volume = kNone, source_snapshot = kNone;
  uint64_t tag = 0;  // what the last pod wrote, or the source had at the cut; 0: nothing
  bool inherited_tag = false;
  std::optional<Terms> staged;
  uint64_t device_bytes = 0;      // what the loop device was last told
  std::map<int, Target> targets;  // by pod
  bool operator==(const VolumeState&) const = default;
};

struct SnapshotState {
  int volume = kNone;
  Content content = Content::kExt4;
  uint64_t size_bytes = 0;
  uint64_t tag = 0;
  int64_t created_nanos = 0;  // as its creation's answer said
  bool operator==(const SnapshotState&) const = default;
};

// One request, in the model's words.
struct Call {
  Method method = Method::kGetVolume;
  int volume = kNone, snapshot = kNone;
  // CreateVolume, and what a capability says.
  int source_volume = kNone, source_snapshot = kNone;
  uint64_t required_bytes = 0, limit_bytes = 0;
  std::optional<Content> content;  // nullopt: a filesystem, any
  bool thick = true;
  bool other_pool = false;  // a clone asked into a pool that its source is not in
  Terms terms;
  int pod = kNone;         // kNone: the staging path
  bool read_only = false;  // of NodePublishVolume
  uint64_t tag = 0;        // to be written
};
std::string Describe(const Call& call);

// What came back. `wrong`: what no state explains (another id, no topology); empty: nothing.
struct Answer {
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string message, wrong;
  uint64_t capacity_bytes = 0;
  bool node_expansion = false, confirmed = false;
  int source_volume = kNone, source_snapshot = kNone;
  int64_t created_nanos = 0;
  uint64_t total_bytes = 0;  // of the stats
  uint64_t tag = 0;
};
std::string Describe(const Answer& answer);

// What the model must know of the machine.
struct Rules {
  // No volume as large as that fits; all that the clients ask for besides fits at once.
  uint64_t too_large_bytes = 0;
  bool ext4_grows_mounted = false;  // CAP_SYS_RESOURCE
};

}  // namespace holdfast::load
