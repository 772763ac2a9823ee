#include "catalog/sqlite_catalog.h"

#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "catalog/details.h"
#include "catalog/rows.h"
#include "catalog/schema.h"

namespace holdfast {
namespace {

constexpr char kFifteenValues[] = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

// SQLite's "no limit" is a negative one.
int64_t SqlLimit(uint64_t limit) {
  return limit == 0 || limit > INT64_MAX ? -1 : static_cast<int64_t>(limit);
}

absl::StatusOr<StopRecord> ReadStop(const Statement& row) {
  return StopRecord{.incarnation = row.Text(0),
                    .volume_id = row.Text(1),
                    .stopped_unix_nanos = row.Int(2),
                    .free_bytes = row.Unsigned(3),
                    .stop_bytes = row.Unsigned(4)};
}

absl::Status GoneUnless(int64_t rows, const char* kind, const std::string& id) {
  if (rows > 0) return absl::OkStatus();
  return absl::NotFoundError(fmt::format("catalog: {} {} is gone", kind, id));
}

}  // namespace

absl::StatusOr<int64_t> SqliteCatalog::Change(const std::string& sql, const Binder& bind,
                                              Outlives outlives) {
  int64_t rows = 0;
  const auto change = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(Statement statement, database_->Prepare(sql));
    bind(statement);
    RETURN_IF_ERROR(statement.Run());
    rows = database_->Changes();
    return absl::OkStatus();
  };
  const absl::Status written = writes_.Write(change, outlives);
  if (!written.ok()) return written;
  return rows;
}

absl::StatusOr<std::optional<Volume>> SqliteCatalog::FindVolume(std::string_view id) {
  static const std::string kSql =
      fmt::format("SELECT {} FROM volumes WHERE id = ?", kVolumeColumns);
  // As with every new name: the connection that reads is left to others.
  if (!kept_.Has(id).value_or(true)) return std::nullopt;
  return Find(kSql, id, &ReadVolume);
}

absl::Status SqliteCatalog::Keep(const absl::Status& written, const Volume& volume) {
  if (written.ok()) {
    kept_.Put(volume);
  } else {
    kept_.Forget();
  }
  return written;
}

absl::Status SqliteCatalog::InsertVolume(const Volume& volume, Outlives outlives) {
  static const std::string kSql =
      fmt::format("INSERT INTO volumes ({}) VALUES {}", kVolumeColumns, kFifteenValues);
  const std::string details = VolumeDetails(volume);
  const auto bind = [&](Statement& s) { BindVolume(s, volume, details); };
  return Keep(Change(kSql, bind, outlives).status(), volume);
}

absl::Status SqliteCatalog::UpdateVolume(const Volume& volume, Outlives outlives) {
  static const std::string kSql =
      fmt::format("UPDATE volumes SET ({}) = {} WHERE id = ?1 AND incarnation = ?3", kVolumeColumns,
                  kFifteenValues);
  const std::string details = VolumeDetails(volume);
  const auto bind = [&](Statement& s) { BindVolume(s, volume, details); };
  const auto rows = Change(kSql, bind, outlives);
  return Keep(rows.ok() ? GoneUnless(*rows, "volume", volume.id) : rows.status(), volume);
}

absl::Status SqliteCatalog::RemoveVolume(std::string_view id) {
  const absl::Status removed =
      Change("DELETE FROM volumes WHERE id = ?", [&](Statement& s) { s.Bind(1, id); }).status();
  removed.ok() ? kept_.Remove(id) : kept_.Forget();
  return removed;
}

template <typename Ask>
auto SqliteCatalog::FromKept(const Ask& ask)
    -> absl::StatusOr<typename decltype(ask())::value_type> {
  static const std::string kSql = fmt::format("SELECT {} FROM volumes", kVolumeColumns);
  while (true) {
    if (auto answer = ask()) return *std::move(answer);
    const std::lock_guard<std::mutex> no_write(mutex_);
    ASSIGN_OR_RETURN(const auto volumes, ReadRows(*database_, kSql, nullptr, &ReadVolume));
    kept_.Load(volumes);
  }
}

absl::StatusOr<std::vector<ListedVolume>> SqliteCatalog::ListVolumes(std::string_view after,
                                                                     uint64_t limit) {
  return FromKept([&] { return kept_.List(after, limit); });
}

absl::StatusOr<std::vector<Volume>> SqliteCatalog::AllVolumes() {
  static const std::string kSql = fmt::format("SELECT {} FROM volumes ORDER BY id", kVolumeColumns);
  return Select(kSql, nullptr, &ReadVolume);
}

absl::StatusOr<std::vector<ImageRow>> SqliteCatalog::ImageRows() {
  static const std::string kSql = fmt::format(
      "SELECT id, incarnation, state = 'ready', capacity_bytes, instr(details, '{}') FROM volumes",
      kGrowingTo);
  const auto read = [](const Statement& row) -> absl::StatusOr<ImageRow> {
    return ImageRow{.id = row.Text(0),
                    .incarnation = row.Text(1),
                    .ready = row.Int(2) != 0,
                    .capacity_bytes = row.Unsigned(3),
                    .may_be_growing = row.Int(4) != 0};
  };
  return Select<ImageRow>(kSql, nullptr, read);
}

absl::StatusOr<RowCounts> SqliteCatalog::Count() {
  const auto count_all = [](Database& database) -> absl::StatusOr<RowCounts> {
    RowCounts counts;
    const std::pair<const char*, uint64_t*> kinds[] = {
        {"SELECT count(*) FROM volumes WHERE state = 'ready'", &counts.volumes},
        {"SELECT count(*) FROM snapshots WHERE state = 'ready'", &counts.snapshots},
        {"SELECT count(*) FROM trash", &counts.trash}};
    for (const auto& [sql, count] : kinds) {
      ASSIGN_OR_RETURN(const int64_t rows, database.ReadInt(sql));
      *count = static_cast<uint64_t>(rows);
    }
    return counts;
  };
  return Read(count_all);
}

absl::StatusOr<VolumeTotals> SqliteCatalog::Totals() {
  return FromKept([&] { return kept_.totals(); });
}

absl::StatusOr<std::optional<Snapshot>> SqliteCatalog::FindSnapshot(std::string_view id) {
  static const std::string kSql =
      fmt::format("SELECT {} FROM snapshots WHERE id = ?", kSnapshotColumns);
  return Find(kSql, id, &ReadSnapshot);
}

absl::Status SqliteCatalog::InsertSnapshot(const Snapshot& snapshot, Outlives outlives) {
  static const std::string kSql =
      fmt::format("INSERT INTO snapshots ({}) VALUES {}", kSnapshotColumns, kFifteenValues);
  const std::string details = SnapshotDetails(snapshot);
  return Change(
             kSql, [&](Statement& s) { BindSnapshot(s, snapshot, details); }, outlives)
      .status();
}

absl::Status SqliteCatalog::UpdateSnapshot(const Snapshot& snapshot) {
  static const std::string kSql =
      fmt::format("UPDATE snapshots SET ({}) = {} WHERE id = ?1 AND incarnation = ?3",
                  kSnapshotColumns, kFifteenValues);
  const std::string details = SnapshotDetails(snapshot);
  ASSIGN_OR_RETURN(const int64_t rows,
                   Change(kSql, [&](Statement& s) { BindSnapshot(s, snapshot, details); }));
  return GoneUnless(rows, "snapshot", snapshot.id);
}

absl::Status SqliteCatalog::RemoveSnapshot(std::string_view id) {
  return Change("DELETE FROM snapshots WHERE id = ?", [&](Statement& s) { s.Bind(1, id); })
      .status();
}

absl::StatusOr<std::vector<Snapshot>> SqliteCatalog::ListSnapshots(const SnapshotFilter& filter,
                                                                   std::string_view after,
                                                                   uint64_t limit) {
  const std::string sql = fmt::format(
      "SELECT {} FROM snapshots WHERE state = 'ready' AND id > ?1{}{} ORDER BY id LIMIT ?2",
      kSnapshotColumns, filter.id.has_value() ? " AND id = ?3" : "",
      filter.volume_id.has_value() ? " AND volume_id = ?4" : "");
  return Select(
      sql,
      [&](Statement& s) {
        s.Bind(1, after).BindInt(2, SqlLimit(limit));
        if (filter.id.has_value()) s.Bind(3, *filter.id);
        if (filter.volume_id.has_value()) s.Bind(4, *filter.volume_id);
      },
      &ReadSnapshot);
}

absl::StatusOr<std::vector<Snapshot>> SqliteCatalog::AllSnapshots() {
  static const std::string kSql =
      fmt::format("SELECT {} FROM snapshots ORDER BY id", kSnapshotColumns);
  return Select(kSql, nullptr, &ReadSnapshot);
}

absl::Status SqliteCatalog::SetOvercommit(bool overcommit) {
  RETURN_IF_ERROR(Change("UPDATE pool SET overcommit = ?", [&](Statement& s) {
                    s.BindInt(1, overcommit ? 1 : 0);
                  }).status());
  identity_.overcommit = overcommit;
  return absl::OkStatus();
}

absl::Status SqliteCatalog::RecordStop(const StopRecord& record) {
  ASSIGN_OR_RETURN(
      const int64_t rows,
      Change("INSERT OR REPLACE INTO stops (incarnation, volume_id, stopped_unix_nanos, "
             "free_bytes, stop_bytes) SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS "
             "(SELECT 1 FROM volumes WHERE incarnation = ?1)",
             [&](Statement& s) {
               s.Bind(1, record.incarnation)
                   .Bind(2, record.volume_id)
                   .BindInt(3, record.stopped_unix_nanos)
                   .BindUnsigned(4, record.free_bytes)
                   .BindUnsigned(5, record.stop_bytes);
             }));
  return GoneUnless(rows, "volume", record.volume_id);
}

absl::StatusOr<std::vector<StopRecord>> SqliteCatalog::ListStops() {
  return Select(
      "SELECT incarnation, volume_id, stopped_unix_nanos, free_bytes, stop_bytes FROM "
      "stops ORDER BY stopped_unix_nanos, incarnation",
      nullptr, &ReadStop);
}

absl::Status SqliteCatalog::RemoveStop(std::string_view incarnation) {
  return Change("DELETE FROM stops WHERE incarnation = ?",
                [&](Statement& s) { s.Bind(1, incarnation); })
      .status();
}

absl::Status SqliteCatalog::Checkpoint() {
  const std::scoped_lock lock(mutex_, reader_mutex_);  // a reader would keep the WAL
  return database_->Checkpoint();
}

namespace {

SqliteCatalog::Opener ReaderOf(const std::string& path, const CatalogFaultHook& hook) {
  if (path == ":memory:") return nullptr;
  return [path, hook] { return Database::Open(path, Database::Mode::kReadOnly, hook); };
}

}  // namespace

absl::StatusOr<std::unique_ptr<Catalog>> CreateCatalog(const std::string& path,
                                                       const PoolIdentity& identity,
                                                       CatalogFaultHook hook) {
  ASSIGN_OR_RETURN(auto database, Database::Open(path, Database::Mode::kCreate, hook));
  RETURN_IF_ERROR(MakeSchema(*database, identity));
  return std::make_unique<SqliteCatalog>(std::move(database), ReaderOf(path, hook), identity);
}

absl::StatusOr<std::unique_ptr<Catalog>> OpenCatalog(const std::string& path,
                                                     Catalog::Access access,
                                                     CatalogFaultHook hook) {
  const auto mode =
      access == Catalog::Access::kReadOnly ? Database::Mode::kReadOnly : Database::Mode::kReadWrite;
  ASSIGN_OR_RETURN(auto database, Database::Open(path, mode, hook));
  RETURN_IF_ERROR(CheckSchema(*database, access));
  ASSIGN_OR_RETURN(PoolIdentity identity, ReadIdentity(*database));
  auto open_reader = access == Catalog::Access::kReadOnly ? nullptr : ReaderOf(path, hook);
  return std::make_unique<SqliteCatalog>(std::move(database), std::move(open_reader),
                                         std::move(identity));
}

}  // namespace holdfast
