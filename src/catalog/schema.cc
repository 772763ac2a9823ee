#include "catalog/schema.h"

#include <array>
#include <iterator>

#include <fmt/format.h>

#include "base/build_info.h"
#include "base/status_macros.h"
#include "base/uuid.h"

namespace holdfast {
namespace {

// "Hold": tells our file from any other SQLite database (PRAGMA application_id).
constexpr int64_t kApplicationId = 0x486f6c64;

// Entry n brings version n to n + 1. Never edit an entry that was released: add one.
constexpr std::array kMigrations = {
    R"(
CREATE TABLE pool (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  uuid TEXT NOT NULL,
  name TEXT NOT NULL,
  created_unix_nanos INTEGER NOT NULL
) STRICT;
CREATE TABLE volumes (
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL,
  incarnation TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  content TEXT NOT NULL,
  provisioning TEXT NOT NULL,
  capacity_bytes INTEGER NOT NULL,
  filesystem_bytes INTEGER NOT NULL,
  filesystem_uuid TEXT NOT NULL,
  formatted INTEGER NOT NULL,
  shares_blocks INTEGER NOT NULL,
  created_unix_nanos INTEGER NOT NULL,
  image_inode INTEGER NOT NULL,
  image_generation INTEGER NOT NULL,
  details TEXT NOT NULL
) STRICT;
CREATE TABLE snapshots (
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL,
  incarnation TEXT NOT NULL UNIQUE,
  state TEXT NOT NULL,
  volume_id TEXT NOT NULL,
  volume_incarnation TEXT NOT NULL,
  content TEXT NOT NULL,
  provisioning TEXT NOT NULL,
  consistency TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  filesystem_bytes INTEGER NOT NULL,
  filesystem_uuid TEXT NOT NULL,
  extents INTEGER NOT NULL,
  created_unix_nanos INTEGER NOT NULL,
  details TEXT NOT NULL
) STRICT;
CREATE INDEX snapshots_of_volume ON snapshots (volume_id, id);
CREATE TABLE trash (
  incarnation TEXT PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  deleted_unix_nanos INTEGER NOT NULL
) STRICT;
)",
    // The rows of what lies in the trash, as they were: a restore puts them back.
    R"(
CREATE TABLE trashed_volumes (
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  incarnation TEXT PRIMARY KEY NOT NULL,
  state TEXT NOT NULL,
  content TEXT NOT NULL,
  provisioning TEXT NOT NULL,
  capacity_bytes INTEGER NOT NULL,
  filesystem_bytes INTEGER NOT NULL,
  filesystem_uuid TEXT NOT NULL,
  formatted INTEGER NOT NULL,
  shares_blocks INTEGER NOT NULL,
  created_unix_nanos INTEGER NOT NULL,
  image_inode INTEGER NOT NULL,
  image_generation INTEGER NOT NULL,
  details TEXT NOT NULL
) STRICT;
CREATE TABLE trashed_snapshots (
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  incarnation TEXT PRIMARY KEY NOT NULL,
  state TEXT NOT NULL,
  volume_id TEXT NOT NULL,
  volume_incarnation TEXT NOT NULL,
  content TEXT NOT NULL,
  provisioning TEXT NOT NULL,
  consistency TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  filesystem_bytes INTEGER NOT NULL,
  filesystem_uuid TEXT NOT NULL,
  extents INTEGER NOT NULL,
  created_unix_nanos INTEGER NOT NULL,
  details TEXT NOT NULL
) STRICT;
)",
    R"(
ALTER TABLE pool ADD COLUMN overcommit INTEGER NOT NULL DEFAULT 0;
CREATE TABLE stops (
  incarnation TEXT PRIMARY KEY NOT NULL REFERENCES volumes (incarnation) ON DELETE CASCADE,
  volume_id TEXT NOT NULL,
  stopped_unix_nanos INTEGER NOT NULL,
  free_bytes INTEGER NOT NULL,
  stop_bytes INTEGER NOT NULL
) STRICT;
)",
};

// Inside a transaction.
absl::Status Migrate(Database& database, int64_t from) {
  for (int64_t version = from; version < CurrentSchemaVersion(); ++version) {
    RETURN_IF_ERROR(database.Execute(kMigrations[static_cast<size_t>(version)]));
  }
  return database.Execute(fmt::format("PRAGMA user_version={}", CurrentSchemaVersion()));
}

// Zero objects: nobody has written to it. sqlite_schema is SQLite's list of tables.
absl::StatusOr<bool> IsEmpty(Database& database) {
  ASSIGN_OR_RETURN(const int64_t objects, database.ReadInt("SELECT count(*) FROM sqlite_schema"));
  return objects == 0;
}

}  // namespace

int64_t CurrentSchemaVersion() { return static_cast<int64_t>(std::size(kMigrations)); }

absl::Status MakeSchema(Database& database, const PoolIdentity& identity) {
  RETURN_IF_ERROR(database.Execute("PRAGMA journal_mode=WAL"));
  return database.Write([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const bool empty, IsEmpty(database));
    if (!empty) {
      return absl::AlreadyExistsError(
          fmt::format("catalog {}: expected none, found one; it is left alone", database.path()));
    }
    RETURN_IF_ERROR(database.Execute(fmt::format("PRAGMA application_id={}", kApplicationId)));
    RETURN_IF_ERROR(Migrate(database, 0));
    ASSIGN_OR_RETURN(Statement insert,
                     database.Prepare("INSERT INTO pool (only_row, uuid, name, created_unix_nanos, "
                                      "overcommit) VALUES (1, ?, ?, ?, ?)"));
    return insert.Bind(1, identity.uuid)
        .Bind(2, identity.name)
        .BindInt(3, identity.created_unix_nanos)
        .BindInt(4, identity.overcommit ? 1 : 0)
        .Run();
  });
}

absl::Status CheckSchema(Database& database, Catalog::Access access) {
  ASSIGN_OR_RETURN(const bool empty, IsEmpty(database));
  if (empty) {
    return absl::NotFoundError(fmt::format("catalog {}: it is empty", database.path()));
  }
  ASSIGN_OR_RETURN(const int64_t application, database.ReadInt("PRAGMA application_id"));
  if (application != kApplicationId) {
    return absl::FailedPreconditionError(fmt::format(
        "catalog {}: expected a Holdfast catalog, found another program's database (application "
        "id {}); configure the right folder",
        database.path(), application));
  }
  ASSIGN_OR_RETURN(const int64_t version, database.ReadInt("PRAGMA user_version"));
  if (version > CurrentSchemaVersion()) {
    return absl::FailedPreconditionError(fmt::format(
        "catalog {}: expected schema version {} or older, found {}; a newer Holdfast wrote it, "
        "upgrade this one ({})",
        database.path(), CurrentSchemaVersion(), version, kDriverVersion));
  }
  if (version < 1) {
    return absl::DataLossError(fmt::format(
        "catalog {}: expected a schema version of at least 1, found {}; restore catalog.db",
        database.path(), version));
  }
  if (access == Catalog::Access::kReadOnly) {
    if (version == CurrentSchemaVersion()) return absl::OkStatus();
    return absl::FailedPreconditionError(fmt::format(
        "catalog {}: expected schema version {}, found {}; start the driver once, it migrates",
        database.path(), CurrentSchemaVersion(), version));
  }
  RETURN_IF_ERROR(database.Execute("PRAGMA journal_mode=WAL"));
  if (version == CurrentSchemaVersion()) return absl::OkStatus();
  return database.Write([&] { return Migrate(database, version); });
}

absl::StatusOr<PoolIdentity> ReadIdentity(Database& database) {
  ASSIGN_OR_RETURN(Statement select,
                   database.Prepare("SELECT uuid, name, created_unix_nanos, overcommit FROM pool"));
  ASSIGN_OR_RETURN(const bool found, select.Step());
  PoolIdentity identity;
  if (found) {
    identity = {.uuid = select.Text(0),
                .name = select.Text(1),
                .created_unix_nanos = select.Int(2),
                .overcommit = select.Int(3) != 0};
  }
  if (!IsUuid(identity.uuid)) {
    return absl::DataLossError(
        fmt::format("catalog {}: expected the pool's UUID, found \"{}\"; restore catalog.db",
                    database.path(), identity.uuid));
  }
  return identity;
}

}  // namespace holdfast
