// Between volumes, snapshots, trash entries and the rows that hold them.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "catalog/catalog.h"
#include "catalog/database.h"

namespace holdfast {

// The columns of each table, in the order that Bind… and Read… use: "id, name, …".
extern const char kVolumeColumns[];
extern const char kSnapshotColumns[];
extern const char kTrashColumns[];

// What is bound must outlive the statement; `details` is the object's JSON text (details.h).
void BindVolume(Statement& statement, const Volume& volume, const std::string& details);
void BindSnapshot(Statement& statement, const Snapshot& snapshot, const std::string& details);
void BindTrash(Statement& statement, const TrashEntry& entry);

// From a statement that selected exactly those columns. DATA_LOSS naming the row and what is wrong
// when it holds what this version never writes.
absl::StatusOr<Volume> ReadVolume(const Statement& row);
absl::StatusOr<Snapshot> ReadSnapshot(const Statement& row);
absl::StatusOr<TrashEntry> ReadTrash(const Statement& row);

}  // namespace holdfast
