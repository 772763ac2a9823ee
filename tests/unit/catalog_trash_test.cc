// What the trash keeps of a row, and the way back.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "catalog/catalog.h"
#include "catalog/schema.h"
#include "tests/unit/catalog_rows.h"

namespace holdfast {
namespace {

TrashEntry EntryOf(const Snapshot& snapshot) {
  return {snapshot.incarnation, ObjectKind::kSnapshot, snapshot.id,
          snapshot.name,        snapshot.size_bytes,   2};
}

TEST(CatalogTrash, TakeFromTrash_GivesBackTheWholeRow) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  Volume volume = FullVolume("vol-a");
  Snapshot snapshot = FullSnapshot("snap-a", "vol-a");
  volume.state = snapshot.state = ObjectState::kDeleting;
  ASSERT_TRUE(catalog->InsertVolume(volume).ok());
  ASSERT_TRUE(catalog->InsertSnapshot(snapshot).ok());
  ASSERT_TRUE(catalog->MoveToTrash(EntryOf(volume)).ok());
  ASSERT_TRUE(catalog->MoveToTrash(EntryOf(snapshot)).ok());
  ASSERT_TRUE(catalog->MoveToTrash(EntryOf(volume)).ok());  // a repetition keeps what was kept
  ExpectSame(catalog->FindTrashedVolume(volume.incarnation).value().value(), volume);
  ExpectSame(catalog->FindTrashedSnapshot(snapshot.incarnation).value().value(), snapshot);
  EXPECT_EQ(catalog->FindTrash(volume.incarnation).value()->id, "vol-a");
  ASSERT_TRUE(catalog->TakeFromTrash(EntryOf(volume)).ok());
  ASSERT_TRUE(catalog->TakeFromTrash(EntryOf(snapshot)).ok());
  ExpectSame(catalog->FindVolume("vol-a").value().value(), volume);
  ExpectSame(catalog->FindSnapshot("snap-a").value().value(), snapshot);
  EXPECT_TRUE(catalog->ListTrash()->empty());
  EXPECT_FALSE(catalog->FindTrashedVolume(volume.incarnation)->has_value());
}

TEST(CatalogTrash, TakeFromTrash_WhereTheIdIsTaken_FailsAndKeepsBoth) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  const Volume old = FullVolume("vol-a");
  ASSERT_TRUE(catalog->InsertVolume(old).ok());
  ASSERT_TRUE(catalog->MoveToTrash(EntryOf(old)).ok());
  Volume anew = FullVolume("vol-a");
  anew.incarnation = "anew";
  ASSERT_TRUE(catalog->InsertVolume(anew).ok());
  EXPECT_EQ(catalog->TakeFromTrash(EntryOf(old)).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(catalog->FindVolume("vol-a").value()->incarnation, "anew");
  EXPECT_TRUE(catalog->FindTrashedVolume(old.incarnation)->has_value());
  EXPECT_EQ(catalog->ListTrash()->size(), 1u);
}

TEST(CatalogTrash, RemoveTrash_ForgetsTheRowToo) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  const Volume volume = FullVolume("vol-a");
  ASSERT_TRUE(catalog->InsertVolume(volume).ok());
  ASSERT_TRUE(catalog->MoveToTrash(EntryOf(volume)).ok());
  ASSERT_TRUE(catalog->RemoveTrash(volume.incarnation).ok());
  EXPECT_FALSE(catalog->FindTrashedVolume(volume.incarnation)->has_value());
  EXPECT_EQ(catalog->TakeFromTrash(EntryOf(volume)).code(), absl::StatusCode::kNotFound);
}

// A pool of the first version: its trash has entries that kept no row.
TEST(CatalogTrash, PoolOfVersion1_IsMigratedAndItsTrashIsListed) {
  const TestFolder folder;
  {
    auto catalog = CreateCatalog(folder.catalog(), TestIdentity()).value();
    ASSERT_TRUE(catalog->InsertVolume(FullVolume("vol-a")).ok());
    ASSERT_TRUE(catalog->MoveToTrash({"t", ObjectKind::kVolume, "vol-t", "n", 1, 1}).ok());
  }
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(folder.catalog().c_str(), &connection), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(connection,
                         "DROP TABLE trashed_volumes; DROP TABLE trashed_snapshots; "
                         "DROP TABLE stops; ALTER TABLE pool DROP COLUMN overcommit; "
                         "PRAGMA user_version=1",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(connection);
  EXPECT_EQ(OpenCatalog(folder.catalog(), Catalog::Access::kReadOnly).status().code(),
            absl::StatusCode::kFailedPrecondition);
  auto catalog = OpenCatalog(folder.catalog(), Catalog::Access::kReadWrite).value();
  ExpectSame(catalog->FindVolume("vol-a").value().value(), FullVolume("vol-a"));
  const TrashEntry entry = catalog->ListTrash()->at(0);
  EXPECT_FALSE(catalog->FindTrashedVolume(entry.incarnation)->has_value());
  EXPECT_EQ(catalog->TakeFromTrash(entry).code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(catalog->RemoveTrash(entry.incarnation).ok());
}

}  // namespace
}  // namespace holdfast
