// The catalog's tables and their versions; docs/on-disk-format.md explains them.
#pragma once

#include "absl/status/statusor.h"
#include "catalog/catalog.h"
#include "catalog/database.h"

namespace holdfast {

// The version that this program reads and writes, kept in PRAGMA user_version.
int64_t CurrentSchemaVersion();

// Makes all tables and the identity in an empty database. ALREADY_EXISTS when it is not empty.
absl::Status MakeSchema(Database& database, const PoolIdentity& identity);

// Brings an older schema up to date (read-write only). NOT_FOUND when the database is empty: its
// making was interrupted. FAILED_PRECONDITION when a newer version or another program wrote it, or
// when it is older and opened read-only.
absl::Status CheckSchema(Database& database, Catalog::Access access);

absl::StatusOr<PoolIdentity> ReadIdentity(Database& database);

}  // namespace holdfast
