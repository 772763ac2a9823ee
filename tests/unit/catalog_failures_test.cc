// What the catalog answers when something goes wrong, and that nothing of a failed call stays.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "absl/strings/match.h"
#include "catalog/catalog.h"
#include "catalog/database.h"
#include "tests/unit/catalog_rows.h"

namespace holdfast {
namespace {

using Access = Catalog::Access;

// Another program's hands on the file.
void RunSql(const std::string& path, const std::string& sql) {
  sqlite3* connection = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &connection), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(connection);
  sqlite3_close(connection);
}

void MakeCatalog(const std::string& path) {
  auto catalog = CreateCatalog(path, TestIdentity());
  ASSERT_TRUE(catalog.ok()) << catalog.status();
  ASSERT_TRUE((*catalog)->InsertVolume(FullVolume("vol-a")).ok());
  ASSERT_TRUE((*catalog)->InsertSnapshot(FullSnapshot("snap-a", "vol-a")).ok());
  ASSERT_TRUE((*catalog)->MoveToTrash({"t", ObjectKind::kVolume, "vol-t", "n", 1, 1}).ok());
}

TEST(CatalogFailures, Create_WhereThereIsOne_IsAlreadyExistsAndLeavesItAlone) {
  const TestFolder folder;
  MakeCatalog(folder.catalog());
  PoolIdentity other = TestIdentity();
  other.name = "other";
  EXPECT_EQ(CreateCatalog(folder.catalog(), other).status().code(),
            absl::StatusCode::kAlreadyExists);
  auto catalog = OpenCatalog(folder.catalog(), Access::kReadWrite).value();
  EXPECT_EQ(catalog->identity().name, TestIdentity().name);
  EXPECT_EQ(catalog->AllVolumes()->size(), 1u);
}

TEST(CatalogFailures, Open_NoneOrAnEmptyFile_IsNotFoundAndMakesNothing) {
  const TestFolder folder;
  for (const Access access : {Access::kReadOnly, Access::kReadWrite}) {
    EXPECT_EQ(OpenCatalog(folder.catalog(), access).status().code(), absl::StatusCode::kNotFound);
    EXPECT_FALSE(std::filesystem::exists(folder.catalog()));
  }
  std::ofstream(folder.catalog()).close();
  EXPECT_EQ(OpenCatalog(folder.catalog(), Access::kReadWrite).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_TRUE(CreateCatalog(folder.catalog(), TestIdentity()).ok());  // was interrupted, goes on
}

TEST(CatalogFailures, InsertVolume_TakenId_IsInternalAndKeepsTheFirst) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  ASSERT_TRUE(catalog->InsertVolume(FullVolume("vol-a")).ok());
  Volume second = FullVolume("vol-a");
  second.incarnation = "second";
  EXPECT_EQ(catalog->InsertVolume(second).code(), absl::StatusCode::kInternal);
  ExpectSame(catalog->FindVolume("vol-a").value().value(), FullVolume("vol-a"));
}

TEST(CatalogFailures, NewerVersion_IsRefusedInOneSentence) {
  const TestFolder folder;
  MakeCatalog(folder.catalog());
  RunSql(folder.catalog(), "PRAGMA user_version=99");
  for (const Access access : {Access::kReadOnly, Access::kReadWrite}) {
    const absl::Status status = OpenCatalog(folder.catalog(), access).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(absl::StrContains(status.message(), "found 99; a newer Holdfast")) << status;
    EXPECT_FALSE(absl::StrContains(status.message(), "\n"));
  }
}

TEST(CatalogFailures, AnotherProgramsDatabase_IsRefused) {
  const TestFolder folder;
  RunSql(folder.catalog(), "CREATE TABLE t (a)");
  EXPECT_EQ(OpenCatalog(folder.catalog(), Access::kReadWrite).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CreateCatalog(folder.catalog(), TestIdentity()).status().code(),
            absl::StatusCode::kAlreadyExists);
}

TEST(CatalogFailures, NotADatabase_IsDataLossThatSaysWhatToDo) {
  const TestFolder folder;
  std::ofstream(folder.catalog()) << std::string(8192, 'x');
  const absl::Status status = OpenCatalog(folder.catalog(), Access::kReadWrite).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(status.message(), "restore catalog.db")) << status;
}

TEST(CatalogFailures, DamagedPages_AreDataLossAndNeverACrash) {
  const TestFolder folder;
  MakeCatalog(folder.catalog());
  const auto size = std::filesystem::file_size(folder.catalog());
  ASSERT_GT(size, 4u * 4096);
  {
    std::fstream file(folder.catalog(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    for (uint64_t i = 4096; i < size; ++i) file.put('\xa5');
  }
  auto catalog = OpenCatalog(folder.catalog(), Access::kReadWrite);
  const absl::Status status = catalog.ok() ? (*catalog)->AllVolumes().status() : catalog.status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

TEST(CatalogFailures, ARowThisVersionNeverWrites_IsDataLossNamingTheRow) {
  const std::pair<const char*, const char*> changes[] = {
      {"UPDATE volumes SET state = 'gone'", "state \"gone\""},
      {"UPDATE volumes SET content = 'ntfs'", "content \"ntfs\""},
      {"UPDATE volumes SET provisioning = ''", "provisioning \"\""},
      {"UPDATE volumes SET details = 'no json'", "details"},
      {"UPDATE volumes SET details = '[]'", "details"},
      {"UPDATE volumes SET details = '{}'", "parameters"},
      {"UPDATE volumes SET details = json_set(details, '$.labels', 5)", "details"},
      {"UPDATE volumes SET details = json_set(details, '$.labels.b', 5)", "details"},
      {"UPDATE volumes SET details = json_set(details, '$.source.kind', 'tape')", "tape"},
      {"UPDATE volumes SET details = json_set(details, '$.stage.lastEnd', 'x')", "lastEnd"},
      {"UPDATE volumes SET details = json_set(details, '$.stage.root.mode', -1)", "mode"},
      {"UPDATE volumes SET details = json_set(details, '$.stage.root.mode', 4294967296)", "mode"},
      {"UPDATE volumes SET details = json_set(details, '$.stage.published', 1)", "details"},
      {"UPDATE volumes SET details = json_set(details, '$.parameters.rootOwner', 'me')", "details"},
  };
  for (const auto& [sql, named] : changes) {
    const TestFolder folder;
    MakeCatalog(folder.catalog());
    RunSql(folder.catalog(), sql);
    auto catalog = OpenCatalog(folder.catalog(), Access::kReadWrite).value();
    for (const absl::Status& status :
         {catalog->FindVolume("vol-a").status(), catalog->AllVolumes().status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << sql;
      EXPECT_TRUE(absl::StrContains(status.message(), "volume vol-a")) << status;
      EXPECT_TRUE(absl::StrContains(status.message(), named)) << status;
    }
    EXPECT_TRUE(catalog->AllSnapshots().ok());
  }
}

TEST(CatalogFailures, DamagedSnapshotAndTrashRows_AreDataLossNamingTheRow) {
  const TestFolder folder;
  MakeCatalog(folder.catalog());
  RunSql(folder.catalog(),
         "UPDATE snapshots SET consistency = 'x'; UPDATE trash SET kind = 'folder'");
  auto catalog = OpenCatalog(folder.catalog(), Access::kReadWrite).value();
  const absl::Status snapshots = catalog->AllSnapshots().status();
  EXPECT_EQ(snapshots.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(snapshots.message(), "snapshot snap-a")) << snapshots;
  const absl::Status trash = catalog->ListTrash().status();
  EXPECT_EQ(trash.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(trash.message(), "trash t")) << trash;
}

// SQLite answers a full disk and a full page count with the same code.
TEST(CatalogFailures, FullDisk_IsResourceExhaustedAndNothingStays) {
  const TestFolder folder;
  MakeCatalog(folder.catalog());
  auto database = Database::Open(folder.catalog(), Database::Mode::kReadWrite, nullptr).value();
  const int64_t pages = database->ReadInt("PRAGMA page_count").value();
  const auto fill = [&]() -> absl::Status {
    absl::Status status = database->Execute("DELETE FROM trash");
    if (status.ok()) {
      status = database->Execute("UPDATE volumes SET details = hex(zeroblob(1000000))");
    }
    return status;
  };
  ASSERT_TRUE(database->Execute("PRAGMA max_page_count=" + std::to_string(pages)).ok());
  const absl::Status status = database->Write(fill);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(database->ReadInt("SELECT count(*) FROM trash").value(), 1);
  ASSERT_TRUE(database->Execute("PRAGMA max_page_count=1000000").ok());
  EXPECT_TRUE(database->Write(fill).ok());
}

TEST(CatalogFailures, LockedByAnotherProcess_IsUnavailable) {
  const TestFolder folder;
  MakeCatalog(folder.catalog());
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(folder.catalog().c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_TRUE(OpenCatalog(folder.catalog(), Access::kReadWrite).ok());  // it only reads
  auto database = Database::Open(folder.catalog(), Database::Mode::kReadWrite, nullptr,
                                 std::chrono::milliseconds(20))
                      .value();
  const auto remove = [&] { return database->Execute("DELETE FROM volumes"); };
  EXPECT_EQ(database->Write(remove).code(), absl::StatusCode::kUnavailable);
  sqlite3_close(other);
  EXPECT_TRUE(database->Write(remove).ok());
  EXPECT_EQ(database->ReadInt("SELECT count(*) FROM volumes").value(), 0);
}

// --- The n-th statement fails, for every n, in every method
// ---------------------------------------

struct FailNth {
  int remaining = -1;  // < 0: never
  absl::Status operator()() {
    if (remaining < 0 || remaining-- > 0) return absl::OkStatus();
    return absl::UnavailableError("injected");
  }
};

std::string Contents(Catalog& catalog) {
  std::string text;
  const auto volumes = catalog.AllVolumes();
  const auto snapshots = catalog.AllSnapshots();
  const auto trash = catalog.ListTrash();
  if (!volumes.ok() || !snapshots.ok() || !trash.ok()) return "unreadable";
  for (const Volume& volume : *volumes) {
    text += volume.id + std::to_string(volume.capacity_bytes) + ";";
  }
  for (const Snapshot& snapshot : *snapshots) {
    text += snapshot.id + std::to_string(snapshot.size_bytes) + ";";
  }
  for (const TrashEntry& entry : *trash) text += entry.incarnation + ";";
  return text;
}

TEST(CatalogFailures, EveryStatementOfEveryWrite_FailsWithoutATraceAndSucceedsWhenRepeated) {
  Volume changed = FullVolume("vol-a");
  changed.capacity_bytes = 4096;
  Snapshot changed_snapshot = FullSnapshot("snap-a", "vol-a");
  changed_snapshot.size_bytes = 4096;
  const TrashEntry entry{changed.incarnation, ObjectKind::kVolume, "vol-a", "n", 1, 5};
  const std::vector<std::function<absl::Status(Catalog&)>> writes = {
      [&](Catalog& c) { return c.InsertVolume(FullVolume("vol-b")); },
      [&](Catalog& c) { return c.UpdateVolume(changed); },
      [&](Catalog& c) { return c.RemoveVolume("vol-a"); },
      [&](Catalog& c) { return c.InsertSnapshot(FullSnapshot("snap-b", "vol-a")); },
      [&](Catalog& c) { return c.UpdateSnapshot(changed_snapshot); },
      [&](Catalog& c) { return c.RemoveSnapshot("snap-a"); },
      [&](Catalog& c) { return c.MoveToTrash(entry); },
      [&](Catalog& c) { return c.RemoveTrash("t"); },
  };
  for (const auto& write : writes) {
    const TestFolder folder;
    MakeCatalog(folder.catalog());
    FailNth fault;
    auto catalog = OpenCatalog(folder.catalog(), Access::kReadWrite, [&fault](std::string_view) {
                     return fault();
                   }).value();
    const std::string before = Contents(*catalog);
    ASSERT_NE(before, "unreadable");
    int failures = 0;
    while (true) {
      fault.remaining = failures;
      const absl::Status status = write(*catalog);
      const bool fired = fault.remaining < 0;
      fault.remaining = -1;
      if (!fired) {
        EXPECT_TRUE(status.ok()) << status;
        break;
      }
      ++failures;
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
      EXPECT_EQ(Contents(*catalog), before);
      auto reader = OpenCatalog(folder.catalog(), Access::kReadOnly).value();
      EXPECT_EQ(Contents(*reader), before);
    }
    EXPECT_GE(failures, 3);  // BEGIN, the statement, COMMIT
    EXPECT_NE(Contents(*catalog), before);
  }
}

TEST(CatalogFailures, EveryStatementOfCreate_FailsWithoutATraceAndSucceedsWhenRepeated) {
  const TestFolder folder;
  int failures = 0;
  while (true) {
    FailNth fault{.remaining = failures};
    const auto catalog = CreateCatalog(folder.catalog(), TestIdentity(),
                                       [&fault](std::string_view) { return fault(); });
    if (catalog.ok()) break;
    ++failures;
    EXPECT_EQ(catalog.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(OpenCatalog(folder.catalog(), Access::kReadWrite).status().code(),
              absl::StatusCode::kNotFound);
  }
  EXPECT_GE(failures, 8);
}

TEST(CatalogFailures, EveryStatementOfOpenAndRead_ReturnsItsError) {
  const TestFolder folder;
  MakeCatalog(folder.catalog());
  int failures = 0;
  while (true) {
    FailNth fault{.remaining = failures};
    auto catalog = OpenCatalog(folder.catalog(), Access::kReadWrite,
                               [&fault](std::string_view) { return fault(); });
    absl::Status status = catalog.status();
    if (status.ok()) status = (*catalog)->FindVolume("vol-a").status();
    if (status.ok()) status = (*catalog)->ListSnapshots({}, "", 1).status();
    if (status.ok()) status = (*catalog)->Checkpoint();
    if (status.ok()) break;
    ++failures;
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  }
  EXPECT_GE(failures, 8);
}

// Written by the first release: no overcommit, no stops, no acceptsLostWrites in the details.
TEST(CatalogFailures, ACatalogOfVersion2_IsMigrated_AndItsRowsStay) {
  const TestFolder folder;
  {
    auto catalog = CreateCatalog(folder.catalog(), TestIdentity()).value();
    ASSERT_TRUE(catalog->InsertVolume(FullVolume("vol-a")).ok());
  }
  RunSql(folder.catalog(),
         "DROP TABLE stops; ALTER TABLE pool DROP COLUMN overcommit; "
         "UPDATE volumes SET details = json_remove(details, '$.parameters.acceptsLostWrites'); "
         "PRAGMA user_version=2");
  EXPECT_EQ(OpenCatalog(folder.catalog(), Catalog::Access::kReadOnly).status().code(),
            absl::StatusCode::kFailedPrecondition);
  auto catalog = OpenCatalog(folder.catalog(), Catalog::Access::kReadWrite).value();
  EXPECT_FALSE(catalog->identity().overcommit);
  Volume expected = FullVolume("vol-a");
  expected.parameters.accepts_lost_writes = false;
  ExpectSame(catalog->FindVolume("vol-a").value().value(), expected);
  EXPECT_TRUE(catalog->ListStops()->empty());
  EXPECT_TRUE(OpenCatalog(folder.catalog(), Catalog::Access::kReadOnly).ok());
}

}  // namespace
}  // namespace holdfast
