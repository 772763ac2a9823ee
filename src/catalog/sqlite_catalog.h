// The catalog in SQLite.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "catalog/catalog.h"
#include "catalog/database.h"
#include "catalog/group_commit.h"

namespace holdfast {

// Two connections, each behind its mutex. Whoever writes holds the one while the disk is flushed;
// whoever reads uses the other, and sees what was committed and nothing else.
class SqliteCatalog final : public Catalog {
 public:
  using Opener = std::function<absl::StatusOr<std::unique_ptr<Database>>()>;

  // `open_reader` is called at the first read: a catalog that was made is not to be refused because
  // of it. Null where one connection does all (a catalog in memory, or one that is only read).
  SqliteCatalog(std::unique_ptr<Database> database, Opener open_reader, PoolIdentity identity)
      : database_(std::move(database)),
        open_reader_(std::move(open_reader)),
        identity_(std::move(identity)) {}

  const PoolIdentity& identity() const override { return identity_; }

  absl::StatusOr<std::optional<Volume>> FindVolume(std::string_view id) override;
  absl::Status InsertVolume(const Volume& volume, Outlives outlives) override;
  absl::Status UpdateVolume(const Volume& volume, Outlives outlives) override;
  absl::Status RemoveVolume(std::string_view id) override;
  absl::StatusOr<std::vector<ListedVolume>> ListVolumes(std::string_view after,
                                                        uint64_t limit) override;
  absl::StatusOr<std::vector<Volume>> AllVolumes() override;
  absl::StatusOr<std::vector<ImageRow>> ImageRows() override;
  absl::StatusOr<RowCounts> Count() override;
  absl::StatusOr<VolumeTotals> Totals() override;

  absl::StatusOr<std::optional<Snapshot>> FindSnapshot(std::string_view id) override;
  absl::Status InsertSnapshot(const Snapshot& snapshot, Outlives outlives) override;
  absl::Status UpdateSnapshot(const Snapshot& snapshot) override;
  absl::Status RemoveSnapshot(std::string_view id) override;
  absl::StatusOr<std::vector<Snapshot>> ListSnapshots(const SnapshotFilter& filter,
                                                      std::string_view after,
                                                      uint64_t limit) override;
  absl::StatusOr<std::vector<Snapshot>> AllSnapshots() override;

  absl::Status MoveToTrash(const TrashEntry& entry) override;
  absl::Status TakeFromTrash(const TrashEntry& entry) override;
  absl::StatusOr<std::optional<Volume>> FindTrashedVolume(std::string_view incarnation) override;
  absl::StatusOr<std::optional<Snapshot>> FindTrashedSnapshot(
      std::string_view incarnation) override;
  absl::StatusOr<std::optional<TrashEntry>> FindTrash(std::string_view incarnation) override;
  absl::StatusOr<std::vector<TrashEntry>> ListTrash() override;
  absl::Status RemoveTrash(std::string_view incarnation) override;

  absl::Status SetOvercommit(bool overcommit) override;
  absl::Status RecordStop(const StopRecord& record) override;
  absl::StatusOr<std::vector<StopRecord>> ListStops() override;
  absl::Status RemoveStop(std::string_view incarnation) override;

  absl::Status Checkpoint() override;

 private:
  using Binder = std::function<void(Statement&)>;
  // One writing transaction of one statement; says how many rows it touched.
  absl::StatusOr<int64_t> Change(const std::string& sql, const Binder& bind,
                                 Outlives outlives = Outlives::kPowerCut);
  // After a write of a volume, by what became of it.
  absl::Status Keep(const absl::Status& written, const Volume& volume);
  // What `ask` finds in what is kept; that is read first when it is not known.
  template <typename Ask>
  auto FromKept(const Ask& ask) -> absl::StatusOr<typename decltype(ask())::value_type>;
  // What `use` says of the connection that is for reading, with its mutex held.
  template <typename Use>
  auto Read(const Use& use) -> decltype(use(std::declval<Database&>()));
  // One reading statement; ReadRows with the database's mutex held.
  template <typename Row>
  absl::StatusOr<std::vector<Row>> Select(const std::string& sql, const Binder& bind,
                                          absl::StatusOr<Row> (*read)(const Statement&));
  template <typename Row>
  static absl::StatusOr<std::vector<Row>> ReadRows(Database& database, const std::string& sql,
                                                   const Binder& bind,
                                                   absl::StatusOr<Row> (*read)(const Statement&));
  // The row of an id. By the connection that writes while nobody does: its cache is not made
  // worthless by each commit.
  template <typename Row>
  absl::StatusOr<std::optional<Row>> Find(const std::string& sql, std::string_view id,
                                          absl::StatusOr<Row> (*read)(const Statement&));

  std::mutex mutex_, reader_mutex_;
  const std::unique_ptr<Database> database_;
  const Opener open_reader_;
  std::unique_ptr<Database> reader_;
  PoolIdentity identity_;
  GroupCommit writes_{*database_, mutex_};
  KeptVolumes kept_;
};

template <typename Use>
auto SqliteCatalog::Read(const Use& use) -> decltype(use(std::declval<Database&>())) {
  const std::lock_guard<std::mutex> lock(open_reader_ ? reader_mutex_ : mutex_);
  if (!open_reader_) return use(*database_);
  if (reader_ == nullptr) {
    ASSIGN_OR_RETURN(reader_, open_reader_());
  }
  return use(*reader_);
}

template <typename Row>
absl::StatusOr<std::vector<Row>> SqliteCatalog::Select(
    const std::string& sql, const Binder& bind, absl::StatusOr<Row> (*read)(const Statement&)) {
  return Read([&](Database& database) { return ReadRows(database, sql, bind, read); });
}

template <typename Row>
absl::StatusOr<std::optional<Row>> SqliteCatalog::Find(
    const std::string& sql, std::string_view id, absl::StatusOr<Row> (*read)(const Statement&)) {
  const Binder bind = [&](Statement& s) { s.Bind(1, id); };
  const auto find = [&](Database& database) { return ReadRows(database, sql, bind, read); };
  std::unique_lock<std::mutex> nobody_writes(mutex_, std::try_to_lock);
  ASSIGN_OR_RETURN(std::vector<Row> rows,
                   nobody_writes.owns_lock() ? find(*database_) : Read(find));
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

template <typename Row>
absl::StatusOr<std::vector<Row>> SqliteCatalog::ReadRows(
    Database& database, const std::string& sql, const Binder& bind,
    absl::StatusOr<Row> (*read)(const Statement&)) {
  ASSIGN_OR_RETURN(Statement statement, database.Prepare(sql));
  if (bind) bind(statement);
  std::vector<Row> rows;
  while (true) {
    ASSIGN_OR_RETURN(const bool found, statement.Step());
    if (!found) return rows;
    ASSIGN_OR_RETURN(Row row, read(statement));
    rows.push_back(std::move(row));
  }
}

}  // namespace holdfast
