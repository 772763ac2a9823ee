// What the catalog keeps, on disk and in memory. catalog_failures_test.cc has what goes wrong.
#include "catalog/catalog.h"
#include "catalog/database.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "tests/unit/catalog_rows.h"

namespace holdfast {
namespace {

using Access = Catalog::Access;

TEST(Catalog, Volume_IsReadBackAsWritten) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  const Volume full = FullVolume("vol-a");
  ASSERT_TRUE(catalog->InsertVolume(full).ok());
  Volume plain;
  plain.id = "vol-b";
  plain.incarnation = "plain";
  ASSERT_TRUE(catalog->InsertVolume(plain).ok());
  ExpectSame(catalog->FindVolume("vol-a").value().value(), full);
  ExpectSame(catalog->FindVolume("vol-b").value().value(), plain);
  EXPECT_EQ(catalog->FindVolume("vol-c").value().has_value(), false);
}

TEST(Catalog, Volume_EveryEnumerator_IsReadBack) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  int n = 0;
  for (const Content content : {Content::kBlock, Content::kExt4, Content::kXfs, Content::kBtrfs}) {
    for (const ObjectState state :
         {ObjectState::kCreating, ObjectState::kReady, ObjectState::kDeleting}) {
      for (const LastEnd end : {LastEnd::kNeverStaged, LastEnd::kStaged, LastEnd::kClean}) {
        Volume volume = FullVolume("vol-" + std::to_string(n++));
        volume.content = content;
        volume.state = state;
        volume.stage.last_end = end;
        volume.source.kind = static_cast<Source::Kind>(n % 3);
        ASSERT_TRUE(catalog->InsertVolume(volume).ok());
        ExpectSame(catalog->FindVolume(volume.id).value().value(), volume);
      }
    }
  }
}

TEST(Catalog, Volume_AnyNameAndLabel_IsKeptByteForByte) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  const std::string names[] = {
      "'; DROP TABLE volumes; --",    "\"quoted\"", "名前\xf0\x9f\x92\xbe",
      std::string("nul\0inside", 10), "%s?1:id",    std::string(128, '\\')};
  for (const std::string& name : names) {
    Volume volume = FullVolume(name);
    volume.name = name;
    volume.labels = {{name, name}};
    volume.stage.verdict->sentence = name;
    ASSERT_TRUE(catalog->InsertVolume(volume).ok());
    ExpectSame(catalog->FindVolume(name).value().value(), volume);
  }
  EXPECT_EQ(catalog->AllVolumes()->size(), std::size(names));
}

TEST(Catalog, Volume_TextThatIsNotUtf8_IsKeptWithReplacementCharacters) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  Volume volume = FullVolume("vol-a");
  volume.stage.verdict->sentence = "held by \xff";
  ASSERT_TRUE(catalog->InsertVolume(volume).ok());
  EXPECT_EQ(catalog->FindVolume("vol-a").value()->stage.verdict->sentence, "held by \ufffd");
}

TEST(Catalog, UpdateVolume_ReplacesTheRowOfThatIncarnationOnly) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  Volume volume = FullVolume("vol-a");
  ASSERT_TRUE(catalog->InsertVolume(volume).ok());
  volume.capacity_bytes *= 2;
  volume.stage = {};
  ASSERT_TRUE(catalog->UpdateVolume(volume).ok());
  ExpectSame(catalog->FindVolume("vol-a").value().value(), volume);

  Volume other = volume;
  other.incarnation = "another";
  EXPECT_EQ(catalog->UpdateVolume(other).code(), absl::StatusCode::kNotFound);
  ExpectSame(catalog->FindVolume("vol-a").value().value(), volume);
}

TEST(Catalog, Write_IsAsDurableAsAsked_WhateverCameBefore) {
  const TestFolder folder;
  constexpr int64_t kNormal = 1, kFull = 2;  // of PRAGMA synchronous
  auto database = Database::Open(folder.catalog(), Database::Mode::kCreate, nullptr).value();
  ASSERT_TRUE(database->Execute("PRAGMA journal_mode=WAL").ok());
  const auto level_of = [&](Outlives outlives) {
    int64_t level = -1;
    const auto body = [&]() -> absl::Status {
      level = database->ReadInt("PRAGMA synchronous").value();
      return absl::OkStatus();
    };
    EXPECT_TRUE(database->Write(body, outlives).ok());
    return level;
  };
  EXPECT_EQ(level_of(Outlives::kPowerCut), kFull);
  EXPECT_EQ(level_of(Outlives::kProcess), kNormal);
  EXPECT_EQ(level_of(Outlives::kPowerCut), kFull);
}

TEST(Catalog, RemoveVolume_TwiceIsOk) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  ASSERT_TRUE(catalog->InsertVolume(FullVolume("vol-a")).ok());
  EXPECT_TRUE(catalog->RemoveVolume("vol-a").ok());
  EXPECT_TRUE(catalog->RemoveVolume("vol-a").ok());
  EXPECT_TRUE(catalog->AllVolumes()->empty());
}

TEST(Catalog, ListVolumes_PagesThroughReadyRowsInIdOrder) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  for (const char* id : {"vol-3", "vol-1", "vol-5", "vol-2", "vol-4"}) {
    Volume volume = FullVolume(id);
    if (volume.id == "vol-2") volume.state = ObjectState::kCreating;
    if (volume.id == "vol-4") volume.state = ObjectState::kDeleting;
    ASSERT_TRUE(catalog->InsertVolume(volume).ok());
  }
  EXPECT_EQ(Ids(*catalog->ListVolumes("", 0)), (Strings{"vol-1", "vol-3", "vol-5"}));
  EXPECT_EQ(Ids(*catalog->ListVolumes("", 2)), (Strings{"vol-1", "vol-3"}));
  EXPECT_EQ(Ids(*catalog->ListVolumes("vol-3", 2)), (Strings{"vol-5"}));
  EXPECT_EQ(Ids(*catalog->ListVolumes("vol-5", 2)), Strings{});
  EXPECT_EQ(Ids(*catalog->ListVolumes("", UINT64_MAX)).size(), 3u);
  EXPECT_EQ(Ids(*catalog->AllVolumes()).size(), 5u);
}

TEST(Catalog, Snapshot_IsReadBackAsWritten) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  Snapshot snapshot = FullSnapshot("snap-a", "vol-a");
  for (const Consistency consistency :
       {Consistency::kFrozen, Consistency::kOffline, Consistency::kCrash}) {
    snapshot.id += "x";
    snapshot.incarnation += "x";
    snapshot.consistency = consistency;
    ASSERT_TRUE(catalog->InsertSnapshot(snapshot).ok());
    ExpectSame(catalog->FindSnapshot(snapshot.id).value().value(), snapshot);
  }
  snapshot.root.reset();
  snapshot.state = ObjectState::kDeleting;
  ASSERT_TRUE(catalog->UpdateSnapshot(snapshot).ok());
  ExpectSame(catalog->FindSnapshot(snapshot.id).value().value(), snapshot);
  EXPECT_TRUE(catalog->RemoveSnapshot(snapshot.id).ok());
  EXPECT_EQ(catalog->UpdateSnapshot(snapshot).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(catalog->AllSnapshots()->size(), 2u);
}

TEST(Catalog, ListSnapshots_FiltersByIdAndVolume) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  for (const char* id : {"snap-1", "snap-2", "snap-3", "snap-4"}) {
    Snapshot snapshot = FullSnapshot(id, id < std::string("snap-3") ? "vol-a" : "vol-b");
    if (snapshot.id == "snap-4") snapshot.state = ObjectState::kCreating;
    ASSERT_TRUE(catalog->InsertSnapshot(snapshot).ok());
  }
  EXPECT_EQ(Ids(*catalog->ListSnapshots({}, "", 0)), (Strings{"snap-1", "snap-2", "snap-3"}));
  EXPECT_EQ(Ids(*catalog->ListSnapshots({}, "snap-1", 1)), (Strings{"snap-2"}));
  EXPECT_EQ(Ids(*catalog->ListSnapshots({.volume_id = "vol-a"}, "", 0)),
            (Strings{"snap-1", "snap-2"}));
  EXPECT_EQ(Ids(*catalog->ListSnapshots({.volume_id = "vol-a"}, "snap-1", 9)), (Strings{"snap-2"}));
  EXPECT_EQ(Ids(*catalog->ListSnapshots({.id = "snap-3"}, "", 0)), (Strings{"snap-3"}));
  EXPECT_EQ(Ids(*catalog->ListSnapshots({.id = "snap-3", .volume_id = "vol-a"}, "", 0)), Strings{});
  EXPECT_EQ(Ids(*catalog->ListSnapshots({.id = "snap-4"}, "", 0)), Strings{});
  EXPECT_EQ(Ids(*catalog->ListSnapshots({.volume_id = ""}, "", 0)), Strings{});
}

TEST(Catalog, MoveToTrash_TakesTheRowAwayAndListsOldestFirst) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  const Volume volume = FullVolume("vol-a");
  const Snapshot snapshot = FullSnapshot("snap-a", "vol-a");
  ASSERT_TRUE(catalog->InsertVolume(volume).ok());
  ASSERT_TRUE(catalog->InsertSnapshot(snapshot).ok());
  const TrashEntry newer{volume.incarnation, ObjectKind::kVolume, volume.id, "n'1", 4096, 200};
  const TrashEntry older{snapshot.incarnation, ObjectKind::kSnapshot, snapshot.id, "n2", 8192, 100};
  ASSERT_TRUE(catalog->MoveToTrash(newer).ok());
  ASSERT_TRUE(catalog->MoveToTrash(older).ok());
  ASSERT_TRUE(catalog->MoveToTrash(older).ok());  // a repetition changes nothing
  EXPECT_TRUE(catalog->AllVolumes()->empty());
  EXPECT_TRUE(catalog->AllSnapshots()->empty());
  const auto trash = catalog->ListTrash().value();
  ASSERT_EQ(trash.size(), 2u);
  EXPECT_EQ(trash[0].incarnation, older.incarnation);
  EXPECT_EQ(trash[0].kind, ObjectKind::kSnapshot);
  EXPECT_EQ(trash[1].id, "vol-a");
  EXPECT_EQ(trash[1].name, "n'1");
  EXPECT_EQ(trash[1].size_bytes, 4096u);
  EXPECT_EQ(trash[1].deleted_unix_nanos, 200);
  EXPECT_TRUE(catalog->RemoveTrash(older.incarnation).ok());
  EXPECT_TRUE(catalog->RemoveTrash(older.incarnation).ok());
  EXPECT_EQ(catalog->ListTrash()->size(), 1u);
}

TEST(Catalog, MoveToTrash_ANewIncarnationOfTheSameId_IsLeftAlone) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  ASSERT_TRUE(catalog->InsertVolume(FullVolume("vol-a")).ok());
  ASSERT_TRUE(catalog->MoveToTrash({"older", ObjectKind::kVolume, "vol-a", "n", 1, 1}).ok());
  EXPECT_TRUE(catalog->FindVolume("vol-a")->has_value());
}

TEST(Catalog, Reopened_HasTheIdentityAndEveryRow) {
  const TestFolder folder;
  {
    auto catalog = CreateCatalog(folder.catalog(), TestIdentity()).value();
    ASSERT_TRUE(catalog->InsertVolume(FullVolume("vol-a")).ok());
  }
  auto catalog = OpenCatalog(folder.catalog(), Access::kReadWrite).value();
  EXPECT_EQ(catalog->identity().uuid, TestIdentity().uuid);
  EXPECT_EQ(catalog->identity().name, TestIdentity().name);
  EXPECT_EQ(catalog->identity().created_unix_nanos, TestIdentity().created_unix_nanos);
  ExpectSame(catalog->FindVolume("vol-a").value().value(), FullVolume("vol-a"));
}

TEST(Catalog, Checkpoint_LeavesEverythingInTheMainFile) {
  const TestFolder folder;
  auto catalog = CreateCatalog(folder.catalog(), TestIdentity()).value();
  ASSERT_TRUE(catalog->InsertVolume(FullVolume("vol-a")).ok());
  ASSERT_TRUE(catalog->Checkpoint().ok());
  EXPECT_EQ(std::filesystem::file_size(folder.catalog() + "-wal"), 0u);
  const TestFolder copy;
  std::filesystem::copy_file(folder.catalog(), copy.catalog());
  auto copied = OpenCatalog(copy.catalog(), Access::kReadOnly).value();
  EXPECT_TRUE(copied->FindVolume("vol-a")->has_value());
}

TEST(Catalog, ReadOnly_WorksBesideAServerAndWithoutOne) {
  const TestFolder folder;
  auto server = CreateCatalog(folder.catalog(), TestIdentity()).value();
  ASSERT_TRUE(server->InsertVolume(FullVolume("vol-a")).ok());
  auto reader = OpenCatalog(folder.catalog(), Access::kReadOnly).value();
  EXPECT_EQ(reader->AllVolumes()->size(), 1u);
  ASSERT_TRUE(server->InsertVolume(FullVolume("vol-b")).ok());
  EXPECT_EQ(reader->AllVolumes()->size(), 2u);
  EXPECT_FALSE(reader->RemoveVolume("vol-a").ok());
  EXPECT_EQ(server->AllVolumes()->size(), 2u);
  ASSERT_TRUE(server->Checkpoint().ok());
  server.reset();
  reader.reset();
  reader = OpenCatalog(folder.catalog(), Access::kReadOnly).value();
  EXPECT_EQ(reader->AllVolumes()->size(), 2u);
}

TEST(Catalog, PathThroughAnOpenFolder_WorksAfterTheFdIsClosed) {
  const TestFolder folder;
  const int fd = open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  const std::string path = "/proc/self/fd/" + std::to_string(fd) + "/catalog.db";
  auto created = CreateCatalog(path, TestIdentity());
  ASSERT_TRUE(created.ok()) << created.status();
  close(fd);
  ASSERT_TRUE((*created)->InsertVolume(FullVolume("vol-a")).ok());
  auto reader = OpenCatalog(folder.catalog(), Access::kReadOnly).value();
  EXPECT_EQ(reader->AllVolumes()->size(), 1u);
}

TEST(Catalog, ManyThreads_EachRowIsThere) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&catalog, t] {
      for (int i = 0; i < 20; ++i) {
        Volume volume = FullVolume("vol-" + std::to_string(t) + "-" + std::to_string(i));
        EXPECT_TRUE(catalog->InsertVolume(volume).ok());
        volume.formatted = false;
        EXPECT_TRUE(catalog->UpdateVolume(volume).ok());
        EXPECT_TRUE(catalog->ListVolumes("", 10).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(catalog->AllVolumes()->size(), 80u);
}

TEST(Catalog, Overcommit_IsTheOwnersChoice_AndKept) {
  const TestFolder folder;
  PoolIdentity identity = TestIdentity();
  identity.overcommit = true;
  ASSERT_TRUE(CreateCatalog(folder.catalog(), identity).value()->identity().overcommit);
  auto catalog = OpenCatalog(folder.catalog(), Access::kReadWrite).value();
  EXPECT_TRUE(catalog->identity().overcommit);
  ASSERT_TRUE(catalog->SetOvercommit(false).ok());
  EXPECT_FALSE(catalog->identity().overcommit);
  catalog = OpenCatalog(folder.catalog(), Access::kReadOnly).value();
  EXPECT_FALSE(catalog->identity().overcommit);
}

TEST(Catalog, Stops_AreKeptOldestFirst_AndGoWithTheirVolume) {
  auto catalog = CreateCatalog(":memory:", TestIdentity()).value();
  StopRecord record{.incarnation = "incarnation of vol-a",
                    .volume_id = "vol-a",
                    .stopped_unix_nanos = 20,
                    .free_bytes = UINT64_MAX,
                    .stop_bytes = 5};
  EXPECT_EQ(catalog->RecordStop(record).code(), absl::StatusCode::kNotFound);
  for (const char* id : {"vol-a", "vol-b", "vol-c"}) {
    ASSERT_TRUE(catalog->InsertVolume(FullVolume(id)).ok());
  }
  ASSERT_TRUE(catalog->RecordStop(record).ok());
  record.free_bytes = 4;
  ASSERT_TRUE(catalog->RecordStop(record).ok()) << "replaced";
  StopRecord older = record;
  older.incarnation = "incarnation of vol-b";
  older.stopped_unix_nanos = 10;
  ASSERT_TRUE(catalog->RecordStop(older).ok());
  older.incarnation = "incarnation of vol-c";
  ASSERT_TRUE(catalog->RecordStop(older).ok());
  // A row that is written again keeps its record.
  ASSERT_TRUE(catalog->UpdateVolume(FullVolume("vol-a")).ok());
  ASSERT_TRUE(catalog->RemoveStop("incarnation of vol-c").ok());
  ASSERT_TRUE(catalog->RemoveStop("incarnation of vol-c").ok());
  auto stops = catalog->ListStops().value();
  ASSERT_EQ(stops.size(), 2u);
  EXPECT_EQ(stops[0].incarnation, "incarnation of vol-b");
  EXPECT_EQ(stops[1].volume_id, "vol-a");
  EXPECT_EQ(stops[1].free_bytes, 4u);
  EXPECT_EQ(stops[1].stop_bytes, 5u);
  ASSERT_TRUE(catalog->RemoveVolume("vol-b").ok());
  ASSERT_TRUE(
      catalog
          ->MoveToTrash(
              {.incarnation = "incarnation of vol-a", .kind = ObjectKind::kVolume, .id = "vol-a"})
          .ok());
  EXPECT_TRUE(catalog->ListStops()->empty());
}

}  // namespace
}  // namespace holdfast
