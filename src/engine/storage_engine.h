// The storage interface: what the controller may ask of storage, in the nouns of volume/.
//
// ImageEngine (engine/image) does it in this process; RemoteEngine (agent) through a node's agent;
// FakeEngine (engine/fake) simulates it in memory. One contract suite runs on all of them.
// Every method is idempotent and may be repeated after any failure: a final code is a promise that
// nothing of the attempt is left. Thread-safe. ABORTED: another operation holds that volume or
// snapshot. UNAVAILABLE: the pool with that id is configured here but could not be opened.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "catalog/catalog.h"
#include "volume/capacity.h"
#include "volume/overcommit.h"
#include "volume/snapshot.h"
#include "volume/space.h"
#include "volume/volume.h"

namespace holdfast {

// A snapshot of another node, to be copied to this one.
struct CopyOrigin {
  Snapshot snapshot;
  std::string node;     // that has it
  std::string address;  // host:port of that node's agent
  std::string grant;    // by which that agent knows that this node may have it (agent/grant.h)
};

// A copy that is under way.
struct CopyProgress {
  std::string volume_id;
  std::map<std::string, std::string> labels;  // of the volume
  std::string source_id;                      // as the volume's source
  std::string from_node;
  uint64_t passed_bytes = 0, total_bytes = 0;  // of the snapshot's size, holes included
  int64_t started_unix_nanos = 0;              // or went on
};

// What CreateVolume is asked for.
struct VolumeRequest {
  std::string name;
  CapacityRange capacity;
  // nullopt: a filesystem is wanted and the caller does not mind which (the source's, else ext4).
  std::optional<Content> content;
  ClassParameters parameters;
  std::map<std::string, std::string> labels;
  Source source;
  // Set: the source is on another node, and this is (a cut of) it.
  std::optional<CopyOrigin> origin;
};

struct PoolStatus {
  std::string name;
  std::string uuid;
  std::string path;        // as configured; for humans only
  std::string filesystem;  // "xfs", "btrfs"; empty when it could not be told
  std::string refusal;     // why the pool is not served; empty: it is
  PoolSpace space;         // exact (counted), zero when refused
  uint64_t volumes = 0, snapshots = 0, trash_entries = 0;
  // Of an overcommitted pool (volume/overcommit.h); nothing in another.
  bool overcommit = false;
  Watermark watermark = Watermark::kPlenty;
  uint64_t stop_line_bytes = 0;  // its overcommitted volumes are stopped below so much free
  uint64_t ballast_bytes = 0;    // held for that moment
  uint64_t stopped_volumes = 0;  // stopped and not staged since
  uint64_t stops = 0;            // since the server began
};

// A volume whose stage was refused, and which nobody has acknowledged since.
struct RefusedVolume {
  std::string id;
  std::map<std::string, std::string> labels;
  std::string sentence;
};

struct CapacityAnswer {
  uint64_t available_bytes = 0;       // what can still be promised in all fitting pools
  uint64_t maximum_volume_bytes = 0;  // the largest single volume
  uint64_t minimum_volume_bytes = 0;
};

class StorageEngine {
 public:
  virtual ~StorageEngine() = default;

  // A ready volume that satisfies the request. The same name: the same volume, or ALREADY_EXISTS
  // when a property differs. With an origin it takes as long as the copying; ABORTED meanwhile, and
  // UNAVAILABLE when that broke off: a repeated call goes on from there. NOT_FOUND: no such source.
  // OUT_OF_RANGE: no such size (a clone smaller than its source among them). INVALID_ARGUMENT:
  // content differs from the source's, or no such pool. RESOURCE_EXHAUSTED: it would break the
  // space invariant in every fitting pool.
  virtual absl::StatusOr<Volume> CreateVolume(const VolumeRequest& request) = 0;
  // OK when there is none. FAILED_PRECONDITION while it is in use; one that is only staged, which
  // kubelet can forget, is unstaged first where the engine was told how.
  virtual absl::Status DeleteVolume(std::string_view id) = 0;
  // The image at least `required`, never shrunk. The filesystem is grown by the node. OUT_OF_RANGE
  // when the limit is below, or when the pool has no room (the resizer would retry for ever).
  virtual absl::StatusOr<Volume> ExpandVolume(std::string_view id, const CapacityRange& range) = 0;
  // Ready ones only.
  virtual absl::StatusOr<std::optional<Volume>> FindVolume(std::string_view id) = 0;
  virtual absl::StatusOr<std::vector<ListedVolume>> ListVolumes(std::string_view after,
                                                                uint64_t limit) = 0;

  // In all pools, ordered by id.
  virtual absl::StatusOr<std::vector<RefusedVolume>> RefusedVolumes() = 0;

  // Blocks until cut and durable. ALREADY_EXISTS: same name, other source. NOT_FOUND: no such
  // volume.
  virtual absl::StatusOr<Snapshot> CreateSnapshot(const std::string& name,
                                                  std::string_view volume_id) = 0;
  virtual absl::Status DeleteSnapshot(std::string_view id) = 0;
  virtual absl::StatusOr<std::optional<Snapshot>> FindSnapshot(std::string_view id) = 0;
  virtual absl::StatusOr<std::vector<Snapshot>> ListSnapshots(const SnapshotFilter& filter,
                                                              std::string_view after,
                                                              uint64_t limit) = 0;

  // Every configured pool, refused ones included.
  virtual std::vector<PoolStatus> Pools() = 0;
  // The same without what must be counted: of `space` only size and free are told.
  virtual std::vector<PoolStatus> PoolsInBrief() = 0;
  // From the same arithmetic as CreateVolume: what it says can be created, can be.
  // INVALID_ARGUMENT: no pool of that name.
  virtual absl::StatusOr<CapacityAnswer> GetCapacity(const ClassParameters& parameters,
                                                     std::optional<Content> content) = 0;
};

}  // namespace holdfast
