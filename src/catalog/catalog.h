// The catalog of a pool: what exists in it and what is half-done. SQLite (WAL, synchronous=FULL),
// one file beside the images; docs/on-disk-format.md describes the schema.
//
// A row is creating, ready or deleting. Intent is recorded before the deed: recovery finds every
// row that is not ready and discards or finishes it. Each method is one transaction, durable when
// it returns OK (unless it was asked for less). Thread-safe. Codes: RESOURCE_EXHAUSTED when the
// disk is full, UNAVAILABLE when another process keeps it locked for over 5 s, DATA_LOSS when
// SQLite calls it corrupt, INTERNAL.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "catalog/kept_volumes.h"
#include "volume/ids.h"
#include "volume/snapshot.h"
#include "volume/volume.h"

namespace holdfast {

struct PoolIdentity {
  std::string uuid;
  std::string name;  // what the class parameter "pool" says
  int64_t created_unix_nanos = 0;
  bool overcommit = false;  // classes may ask for a reserve below 100 (volume/overcommit.h)
};

// A volume was stopped because its pool ran out of room, and was not staged since.
struct StopRecord {
  std::string incarnation;
  std::string volume_id;
  int64_t stopped_unix_nanos = 0;
  uint64_t free_bytes = 0;  // of the pool at that moment
  uint64_t stop_bytes = 0;  // the line that it fell below
};

// A file in trash/: deleted, kept for its grace.
struct TrashEntry {
  std::string incarnation;
  ObjectKind kind = ObjectKind::kVolume;
  std::string id;
  std::string name;
  uint64_t size_bytes = 0;
  int64_t deleted_unix_nanos = 0;
};

struct SnapshotFilter {
  std::optional<std::string> id = std::nullopt;
  std::optional<std::string> volume_id = std::nullopt;
};

// What a change outlives once its method has returned. kProcess: the end of this process, but not
// of the machine; it costs no fsync.
enum class Outlives { kPowerCut, kProcess };

// Of a volume what a start asks of all of them; reading every row's details would take long.
struct ImageRow {
  std::string id;
  std::string incarnation;
  bool ready = false;
  uint64_t capacity_bytes = 0;
  bool may_be_growing = false;  // Volume::growing_to_bytes may be set
};

struct RowCounts {
  uint64_t volumes = 0, snapshots = 0;  // ready ones
  uint64_t trash = 0;
};

class Catalog {
 public:
  enum class Access { kReadOnly, kReadWrite };

  virtual ~Catalog() = default;

  virtual const PoolIdentity& identity() const = 0;

  // Rows of any state. nullopt: no such row.
  virtual absl::StatusOr<std::optional<Volume>> FindVolume(std::string_view id) = 0;
  // INTERNAL when the id is taken.
  virtual absl::Status InsertVolume(const Volume& volume,
                                    Outlives outlives = Outlives::kPowerCut) = 0;
  // Replaces the row with that id and incarnation. NOT_FOUND when it is gone.
  virtual absl::Status UpdateVolume(const Volume& volume,
                                    Outlives outlives = Outlives::kPowerCut) = 0;
  // Removes the row; OK when it is gone.
  virtual absl::Status RemoveVolume(std::string_view id) = 0;
  // Ready rows only, ordered by id, ids greater than `after`, at most `limit` (0: all).
  virtual absl::StatusOr<std::vector<ListedVolume>> ListVolumes(std::string_view after,
                                                                uint64_t limit) = 0;
  // Rows of every state, ordered by id: for space arithmetic and recovery.
  virtual absl::StatusOr<std::vector<Volume>> AllVolumes() = 0;
  // The same, in no order.
  virtual absl::StatusOr<std::vector<ImageRow>> ImageRows() = 0;
  virtual absl::StatusOr<RowCounts> Count() = 0;
  // The sums over AllVolumes, without reading them.
  virtual absl::StatusOr<VolumeTotals> Totals() = 0;

  virtual absl::StatusOr<std::optional<Snapshot>> FindSnapshot(std::string_view id) = 0;
  virtual absl::Status InsertSnapshot(const Snapshot& snapshot,
                                      Outlives outlives = Outlives::kPowerCut) = 0;
  virtual absl::Status UpdateSnapshot(const Snapshot& snapshot) = 0;
  virtual absl::Status RemoveSnapshot(std::string_view id) = 0;
  virtual absl::StatusOr<std::vector<Snapshot>> ListSnapshots(const SnapshotFilter& filter,
                                                              std::string_view after,
                                                              uint64_t limit) = 0;
  virtual absl::StatusOr<std::vector<Snapshot>> AllSnapshots() = 0;

  // One transaction: the row goes, the trash entry comes and keeps what the row said.
  virtual absl::Status MoveToTrash(const TrashEntry& entry) = 0;
  // The reverse, in one transaction: the trash entry goes, its row comes back as it went, which is
  // deleting. NOT_FOUND when no such row was kept; INTERNAL when the id is taken.
  virtual absl::Status TakeFromTrash(const TrashEntry& entry) = 0;
  // What the row of a trash entry said. nullopt: no such entry, or one of before rows were kept.
  virtual absl::StatusOr<std::optional<Volume>> FindTrashedVolume(std::string_view incarnation) = 0;
  virtual absl::StatusOr<std::optional<Snapshot>> FindTrashedSnapshot(
      std::string_view incarnation) = 0;
  virtual absl::StatusOr<std::optional<TrashEntry>> FindTrash(std::string_view incarnation) = 0;
  // Oldest first.
  virtual absl::StatusOr<std::vector<TrashEntry>> ListTrash() = 0;
  virtual absl::Status RemoveTrash(std::string_view incarnation) = 0;

  // The owner's choice, which identity() tells from now on. Not while anybody else calls.
  virtual absl::Status SetOvercommit(bool overcommit) = 0;

  // Replaces an older one of that incarnation. NOT_FOUND when there is no such volume.
  virtual absl::Status RecordStop(const StopRecord& record) = 0;
  // Of volumes that are there, oldest first. A record goes with its volume.
  virtual absl::StatusOr<std::vector<StopRecord>> ListStops() = 0;
  // OK when there is none.
  virtual absl::Status RemoveStop(std::string_view incarnation) = 0;

  // Commits everything to the main file and empties the WAL; at an orderly end.
  virtual absl::Status Checkpoint() = 0;
};

// Called before each statement and each COMMIT with its SQL; an error is what the method returns,
// its transaction rolled back. For fault tests.
using CatalogFaultHook = std::function<absl::Status(std::string_view statement)>;

// `path` is a file name; ":memory:" makes one that lives as long as the object.
// Create: ALREADY_EXISTS when there is a catalog. Open: NOT_FOUND when there is none,
// FAILED_PRECONDITION in one sentence when a newer version wrote it. Older schemas are migrated
// when opened read-write.
absl::StatusOr<std::unique_ptr<Catalog>> CreateCatalog(const std::string& path,
                                                       const PoolIdentity& identity,
                                                       CatalogFaultHook hook = nullptr);
absl::StatusOr<std::unique_ptr<Catalog>> OpenCatalog(const std::string& path,
                                                     Catalog::Access access,
                                                     CatalogFaultHook hook = nullptr);

}  // namespace holdfast
