// The trash: its entries, and the rows that they keep.
#include <fmt/format.h>

#include "base/status_macros.h"
#include "catalog/rows.h"
#include "catalog/sqlite_catalog.h"

namespace holdfast {
namespace {

// The tables that hold an object while it exists and while it is in the trash.
struct Tables {
  const char* live;
  const char* trashed;
  const char* columns;
};

Tables TablesOf(ObjectKind kind) {
  return kind == ObjectKind::kVolume ? Tables{"volumes", "trashed_volumes", kVolumeColumns}
                                     : Tables{"snapshots", "trashed_snapshots", kSnapshotColumns};
}

std::string CopyRow(const char* verb, const char* to, const char* from, const char* columns) {
  return fmt::format("{0} INTO {1} ({3}) SELECT {3} FROM {2} WHERE id = ? AND incarnation = ?",
                     verb, to, from, columns);
}

std::string RemoveRow(const char* table) {
  return fmt::format("DELETE FROM {} WHERE id = ? AND incarnation = ?", table);
}

}  // namespace

absl::Status SqliteCatalog::MoveToTrash(const TrashEntry& entry) {
  static const std::string kInsert =
      fmt::format("INSERT OR REPLACE INTO trash ({}) VALUES (?, ?, ?, ?, ?, ?)", kTrashColumns);
  const Tables tables = TablesOf(entry.kind);
  int64_t gone = 0;
  const auto change = [&]() -> absl::Status {
    // Repeated after a crash there is no row any more: what was kept then stays.
    for (const std::string& sql :
         {CopyRow("INSERT OR REPLACE", tables.trashed, tables.live, tables.columns),
          RemoveRow(tables.live)}) {
      ASSIGN_OR_RETURN(Statement statement, database_->Prepare(sql));
      RETURN_IF_ERROR(statement.Bind(1, entry.id).Bind(2, entry.incarnation).Run());
      gone = database_->Changes();
    }
    ASSIGN_OR_RETURN(Statement insert, database_->Prepare(kInsert));
    BindTrash(insert, entry);
    return insert.Run();
  };
  const absl::Status moved = writes_.Write(change, Outlives::kPowerCut);
  if (entry.kind == ObjectKind::kSnapshot || (moved.ok() && gone == 0)) return moved;
  moved.ok() ? kept_.Remove(entry.id) : kept_.Forget();
  return moved;
}

absl::Status SqliteCatalog::TakeFromTrash(const TrashEntry& entry) {
  const Tables tables = TablesOf(entry.kind);
  const auto change = [&]() -> absl::Status {
    {
      ASSIGN_OR_RETURN(Statement copy, database_->Prepare(CopyRow("INSERT", tables.live,
                                                                  tables.trashed, tables.columns)));
      RETURN_IF_ERROR(copy.Bind(1, entry.id).Bind(2, entry.incarnation).Run());
      if (database_->Changes() == 0) {
        return absl::NotFoundError(fmt::format("catalog: trash {} kept no row", entry.incarnation));
      }
    }
    for (const std::string& sql : {RemoveRow(tables.trashed), RemoveRow("trash")}) {
      ASSIGN_OR_RETURN(Statement statement, database_->Prepare(sql));
      RETURN_IF_ERROR(statement.Bind(1, entry.id).Bind(2, entry.incarnation).Run());
    }
    return absl::OkStatus();
  };
  const absl::Status taken = writes_.Write(change, Outlives::kPowerCut);
  kept_.Forget();  // a volume came
  return taken;
}

absl::StatusOr<std::vector<TrashEntry>> SqliteCatalog::ListTrash() {
  static const std::string kSql =
      fmt::format("SELECT {} FROM trash ORDER BY deleted_unix_nanos, incarnation", kTrashColumns);
  return Select(kSql, nullptr, &ReadTrash);
}

absl::StatusOr<std::optional<TrashEntry>> SqliteCatalog::FindTrash(std::string_view incarnation) {
  static const std::string kSql =
      fmt::format("SELECT {} FROM trash WHERE incarnation = ?", kTrashColumns);
  return Find(kSql, incarnation, &ReadTrash);
}

absl::StatusOr<std::optional<Volume>> SqliteCatalog::FindTrashedVolume(
    std::string_view incarnation) {
  static const std::string kSql =
      fmt::format("SELECT {} FROM trashed_volumes WHERE incarnation = ?", kVolumeColumns);
  return Find(kSql, incarnation, &ReadVolume);
}

absl::StatusOr<std::optional<Snapshot>> SqliteCatalog::FindTrashedSnapshot(
    std::string_view incarnation) {
  static const std::string kSql =
      fmt::format("SELECT {} FROM trashed_snapshots WHERE incarnation = ?", kSnapshotColumns);
  return Find(kSql, incarnation, &ReadSnapshot);
}

absl::Status SqliteCatalog::RemoveTrash(std::string_view incarnation) {
  const auto change = [&]() -> absl::Status {
    for (const char* table : {"trash", "trashed_volumes", "trashed_snapshots"}) {
      ASSIGN_OR_RETURN(Statement statement, database_->Prepare(fmt::format(
                                                "DELETE FROM {} WHERE incarnation = ?", table)));
      RETURN_IF_ERROR(statement.Bind(1, incarnation).Run());
    }
    return absl::OkStatus();
  };
  return writes_.Write(change, Outlives::kPowerCut);
}

}  // namespace holdfast
