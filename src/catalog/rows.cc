#include "catalog/rows.h"

#include <initializer_list>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "catalog/details.h"

namespace holdfast {

const char kVolumeColumns[] =
    "id, name, incarnation, state, content, provisioning, capacity_bytes, filesystem_bytes, "
    "filesystem_uuid, formatted, shares_blocks, created_unix_nanos, image_inode, "
    "image_generation, details";
const char kSnapshotColumns[] =
    "id, name, incarnation, state, volume_id, volume_incarnation, content, provisioning, "
    "consistency, size_bytes, filesystem_bytes, filesystem_uuid, extents, created_unix_nanos, "
    "details";
const char kTrashColumns[] = "incarnation, kind, id, name, size_bytes, deleted_unix_nanos";

namespace {

const char* StateName(ObjectState state) {
  switch (state) {
    case ObjectState::kCreating:
      return "creating";
    case ObjectState::kReady:
      return "ready";
    case ObjectState::kDeleting:
      return "deleting";
  }
  return "unknown";
}

const char* ProvisioningName(Provisioning provisioning) {
  return provisioning == Provisioning::kThick ? "thick" : "thin";
}

const char* KindName(ObjectKind kind) {
  return kind == ObjectKind::kVolume ? "volume" : "snapshot";
}

// Reads the named values of one row, and remembers the first that this version never writes.
class RowReader {
 public:
  RowReader(const Statement& row, std::string object) : row_(row), object_(std::move(object)) {}

  template <typename Enum>
  Enum Named(int column, const char* what, std::initializer_list<Enum> values,
             const char* (*name)(Enum)) {
    const std::string text = row_.Text(column);
    for (const Enum value : values) {
      if (text == name(value)) return value;
    }
    Complain(fmt::format("{} \"{}\"", what, text));
    return *values.begin();
  }

  ObjectState State(int column) {
    return Named(column, "state",
                 {ObjectState::kCreating, ObjectState::kReady, ObjectState::kDeleting}, StateName);
  }
  Content ContentAt(int column) {
    return Named(column, "content",
                 {Content::kBlock, Content::kExt4, Content::kXfs, Content::kBtrfs}, ContentName);
  }
  Provisioning ProvisioningAt(int column) {
    return Named(column, "provisioning", {Provisioning::kThick, Provisioning::kThin},
                 ProvisioningName);
  }

  void Details(const absl::Status& parsed) {
    if (!parsed.ok()) Complain(fmt::format("details: {}", std::string(parsed.message())));
  }

  absl::Status status() const {
    if (complaint_.empty()) return absl::OkStatus();
    return absl::DataLossError(fmt::format(
        "catalog: row of {}: expected what this version writes, found {}; restore catalog.db, or "
        "repair the row with sqlite3 while the driver is stopped",
        object_, complaint_));
  }

 private:
  void Complain(std::string found) {
    if (complaint_.empty()) complaint_ = std::move(found);
  }
  const Statement& row_;
  const std::string object_;
  std::string complaint_;
};

}  // namespace

void BindVolume(Statement& statement, const Volume& volume, const std::string& details) {
  statement.Bind(1, volume.id)
      .Bind(2, volume.name)
      .Bind(3, volume.incarnation)
      .Bind(4, StateName(volume.state))
      .Bind(5, ContentName(volume.content))
      .Bind(6, ProvisioningName(volume.parameters.provisioning))
      .BindUnsigned(7, volume.capacity_bytes)
      .BindUnsigned(8, volume.filesystem_bytes)
      .Bind(9, volume.filesystem_uuid)
      .BindInt(10, volume.formatted ? 1 : 0)
      .BindInt(11, volume.shares_blocks ? 1 : 0)
      .BindInt(12, volume.created_unix_nanos)
      .BindUnsigned(13, volume.image_inode)
      .BindInt(14, volume.image_generation)
      .Bind(15, details);
}

absl::StatusOr<Volume> ReadVolume(const Statement& row) {
  Volume volume;
  volume.id = row.Text(0);
  RowReader reader(row, fmt::format("volume {}", volume.id));
  volume.name = row.Text(1);
  volume.incarnation = row.Text(2);
  volume.state = reader.State(3);
  volume.content = reader.ContentAt(4);
  volume.parameters.provisioning = reader.ProvisioningAt(5);
  volume.capacity_bytes = row.Unsigned(6);
  volume.filesystem_bytes = row.Unsigned(7);
  volume.filesystem_uuid = row.Text(8);
  volume.formatted = row.Int(9) != 0;
  volume.shares_blocks = row.Int(10) != 0;
  volume.created_unix_nanos = row.Int(11);
  volume.image_inode = row.Unsigned(12);
  volume.image_generation = static_cast<uint32_t>(row.Int(13));
  reader.Details(ParseVolumeDetails(row.Text(14), volume));
  RETURN_IF_ERROR(reader.status());
  return volume;
}

void BindSnapshot(Statement& statement, const Snapshot& snapshot, const std::string& details) {
  statement.Bind(1, snapshot.id)
      .Bind(2, snapshot.name)
      .Bind(3, snapshot.incarnation)
      .Bind(4, StateName(snapshot.state))
      .Bind(5, snapshot.volume_id)
      .Bind(6, snapshot.volume_incarnation)
      .Bind(7, ContentName(snapshot.content))
      .Bind(8, ProvisioningName(snapshot.provisioning))
      .Bind(9, ConsistencyName(snapshot.consistency))
      .BindUnsigned(10, snapshot.size_bytes)
      .BindUnsigned(11, snapshot.filesystem_bytes)
      .Bind(12, snapshot.filesystem_uuid)
      .BindUnsigned(13, snapshot.extents)
      .BindInt(14, snapshot.created_unix_nanos)
      .Bind(15, details);
}

absl::StatusOr<Snapshot> ReadSnapshot(const Statement& row) {
  Snapshot snapshot;
  snapshot.id = row.Text(0);
  RowReader reader(row, fmt::format("snapshot {}", snapshot.id));
  snapshot.name = row.Text(1);
  snapshot.incarnation = row.Text(2);
  snapshot.state = reader.State(3);
  snapshot.volume_id = row.Text(4);
  snapshot.volume_incarnation = row.Text(5);
  snapshot.content = reader.ContentAt(6);
  snapshot.provisioning = reader.ProvisioningAt(7);
  snapshot.consistency = reader.Named(
      8, "consistency", {Consistency::kFrozen, Consistency::kOffline, Consistency::kCrash},
      ConsistencyName);
  snapshot.size_bytes = row.Unsigned(9);
  snapshot.filesystem_bytes = row.Unsigned(10);
  snapshot.filesystem_uuid = row.Text(11);
  snapshot.extents = row.Unsigned(12);
  snapshot.created_unix_nanos = row.Int(13);
  reader.Details(ParseSnapshotDetails(row.Text(14), snapshot));
  RETURN_IF_ERROR(reader.status());
  return snapshot;
}

void BindTrash(Statement& statement, const TrashEntry& entry) {
  statement.Bind(1, entry.incarnation)
      .Bind(2, KindName(entry.kind))
      .Bind(3, entry.id)
      .Bind(4, entry.name)
      .BindUnsigned(5, entry.size_bytes)
      .BindInt(6, entry.deleted_unix_nanos);
}

absl::StatusOr<TrashEntry> ReadTrash(const Statement& row) {
  TrashEntry entry;
  entry.incarnation = row.Text(0);
  RowReader reader(row, fmt::format("trash {}", entry.incarnation));
  entry.kind = reader.Named(1, "kind", {ObjectKind::kVolume, ObjectKind::kSnapshot}, KindName);
  entry.id = row.Text(2);
  entry.name = row.Text(3);
  entry.size_bytes = row.Unsigned(4);
  entry.deleted_unix_nanos = row.Int(5);
  RETURN_IF_ERROR(reader.status());
  return entry;
}

}  // namespace holdfast
