// A pool that cannot be trusted is refused in one sentence, and the others keep working.
#include <sqlite3.h>

#include <filesystem>

#include "tests/integration/integration_test.h"
#include "tests/integration/pool_space.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class PoolRefusalTest : public IntegrationTest {
 protected:
  PoolRefusalTest() : IntegrationTest(PoolKind::kXfs, 2 * kGiB) {}

  // A second pool, made while it was well.
  ScratchDisk& AddPool(PoolKind kind, uint64_t bytes = kGiB) {
    ScratchDisk& disk = AddDisk("second", bytes, MkfsOf(kind));
    MustRun({ProgramPath("holdfastctl"), "pool", "init", disk.path(), "--name", "second"});
    return disk;
  }

  // The server starts with the pool, says why not, and serves the first one.
  void ExpectRefusedAtStart(const std::string& path, const std::vector<std::string>& words) {
    driver().flags() = {"--pool", path};
    Restart();
    ASSERT_OK_AND_ASSIGN(const auto probe, csi().Call(csi::v1::ProbeRequest()));
    EXPECT_TRUE(!probe.has_ready() || probe.ready().value());
    const Ended status = Execute({ProgramPath("holdfastctl"), "pool", "status", path});
    EXPECT_NE(status.exit_code, 0);
    std::string refusal;
    for (const std::string& line : LinesOf(driver().Log())) {
      if (line.find("pool " + path) != line.npos) refusal = line;
    }
    for (const std::string& word : words) {
      EXPECT_NE(refusal.find(word), std::string::npos) << "no '" << word << "' in: " << refusal;
      EXPECT_NE(status.output.find(word), std::string::npos) << status.output;
    }
    ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "beside"}));
    ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
    EXPECT_EQ(WriteBytes(target + "/data", 0, kMiB, 1), 0);
    ASSERT_OK(PutAway(claim));
    ASSERT_OK(Delete(claim));
    EXPECT_FALSE(Create({.name = "there", .parameters = {{"pool", "second"}}}).ok());
  }

  static std::vector<std::string> LinesOf(const std::string& text) {
    std::vector<std::string> lines;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      lines.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
    return lines;
  }
};

TEST_F(PoolRefusalTest, PoolOnExt4_IsRefused) {
  const ScratchDisk& disk = AddDisk("second", 512 * kMiB, {"mkfs.ext4", "-q"});
  ExpectRefusedAtStart(disk.path(), {"XFS with reflink or btrfs", "ext4", "mkfs.xfs"});
  EXPECT_NE(Execute({ProgramPath("holdfastctl"), "pool", "init", disk.path()}).exit_code, 0);
}

TEST_F(PoolRefusalTest, PoolOnXfsWithoutReflink_IsRefused) {
  const ScratchDisk& disk = AddDisk("second", 512 * kMiB, {"mkfs.xfs", "-q", "-m", "reflink=0"});
  ExpectRefusedAtStart(disk.path(), {"xfs without reflink", "mkfs.xfs -m reflink=1"});
}

// Somebody enables them when volumes are there: nothing more is promised, what is there can be
// used, put away and deleted, also after a restart, and other pools keep working.
TEST_F(PoolRefusalTest, BtrfsWithQuotas_PromisesNothingNew_UntilTheyAreDisabled) {
  const ScratchDisk& disk = AddDisk("second", 4 * kGiB, MkfsOf(PoolKind::kBtrfs));
  const std::vector<std::string> init = {
      ProgramPath("holdfastctl"), "pool", "init", disk.path(), "--name", "second"};
  MustRun({"btrfs", "quota", "enable", disk.path()});
  EXPECT_NE(Execute(init).output.find("a btrfs without quotas"), std::string::npos);
  MustRun({"btrfs", "quota", "disable", disk.path()});
  MustRun(init);
  driver().flags() = {"--pool", disk.path()};
  Restart();
  const auto in_second = [](const std::string& name) {
    return Wanted{.name = name, .parameters = {{"pool", "second"}}};
  };
  ASSERT_OK_AND_ASSIGN(const Claim there, Create(in_second("there")));
  ASSERT_OK_AND_ASSIGN(const Claim shown, Create(in_second("shown")));
  ASSERT_OK(Show(shown));
  MustRun({"btrfs", "quota", "enable", disk.path()});
  for (const bool restarted : {false, true}) {
    if (restarted) Restart();
    EXPECT_TRUE(Refused(Create(in_second("more")).status(), absl::StatusCode::kFailedPrecondition,
                        {"a btrfs without quotas", "btrfs quota disable"}));
    csi::v1::GetCapacityRequest asked;
    (*asked.mutable_parameters())["pool"] = "second";
    EXPECT_TRUE(Refused(csi().Call(asked).status(), absl::StatusCode::kFailedPrecondition,
                        {"btrfs quota disable"}));
    ASSERT_OK_AND_ASSIGN(const auto elsewhere, csi().Call(csi::v1::GetCapacityRequest()));
    EXPECT_GT(elsewhere.available_capacity(), 0);
    ASSERT_OK_AND_ASSIGN(const Claim beside, Create({.name = "beside"}));
    ASSERT_OK(Delete(beside));
    EXPECT_OK(Show(there));
    EXPECT_OK(PutAway(there));
  }
  EXPECT_OK(PutAway(shown));
  EXPECT_OK(Delete(shown));
  MustRun({"btrfs", "quota", "disable", disk.path()});
  EXPECT_OK(Create(in_second("more")));
}

TEST_F(PoolRefusalTest, MissingFolder_AndEmptyFolder_AreRefused) {
  ExpectRefusedAtStart(folder() + "/nowhere", {"expected a folder", "nothing"});
  // The disk is not mounted: its empty mount point is not made into a pool.
  fs::create_directory(pool() + "/empty");
  ExpectRefusedAtStart(pool() + "/empty", {"holdfastctl pool init"});
  EXPECT_TRUE(fs::is_empty(pool() + "/empty"));
}

TEST_F(PoolRefusalTest, ReadOnlyPool_IsRefused_AndServedAgainWhenItIsWritable) {
  const ScratchDisk& disk = AddPool(PoolKind::kBtrfs);
  MustRun({"mount", "-o", "remount,ro", disk.path()});
  ExpectRefusedAtStart(disk.path(), {"writable", "read-only"});
  MustRun({"mount", "-o", "remount,rw", disk.path()});
  Restart();
  EXPECT_OK(
      Create({.name = "there", .content = Content::kBlock, .parameters = {{"pool", "second"}}}));
}

TEST_F(PoolRefusalTest, FullPool_IsRefused_AndServedAgainWhenThereIsRoom) {
  const ScratchDisk& disk = AddPool(PoolKind::kXfs, 512 * kMiB);
  Execute({"dd", "if=/dev/zero", "of=" + disk.path() + "/foreign", "bs=1M", "status=none"});
  Execute({"dd", "if=/dev/zero", "of=" + disk.path() + "/foreign2", "bs=4k", "status=none"});
  driver().flags() = {"--pool", disk.path()};
  Restart();
  EXPECT_NE(driver().Log().find("a full filesystem"), std::string::npos) << driver().Log();
  EXPECT_OK(Create({.name = "beside"}));
  fs::remove(disk.path() + "/foreign");
  fs::remove(disk.path() + "/foreign2");
  Restart();
  EXPECT_OK(
      Create({.name = "there", .content = Content::kBlock, .parameters = {{"pool", "second"}}}));
}

TEST_F(PoolRefusalTest, PoolWrittenByANewerVersion_IsRefused_AndLeftAlone) {
  const ScratchDisk& disk = AddPool(PoolKind::kXfs);
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((disk.path() + "/catalog.db").c_str(), &database), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(database, "PRAGMA user_version=99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
  ExpectRefusedAtStart(disk.path(), {"schema version", "99", "newer"});
}

TEST_F(PoolRefusalTest, PoolServedByAnotherProcess_IsRefused) {
  const ScratchDisk& disk = AddPool(PoolKind::kXfs);
  fs::create_directory(folder() + "/other");
  DriverProcess other(folder() + "/other", {disk.path()});
  ASSERT_TRUE(other.Start()) << other.Log();
  driver().flags() = {"--pool", disk.path()};
  Restart();
  EXPECT_NE(driver().Log().find("served by another process"), std::string::npos) << driver().Log();
  EXPECT_OK(Create({.name = "beside"}));
  EXPECT_EQ(other.Stop(), 0);
}

// Each would promise the whole of it.
TEST_F(PoolRefusalTest, ASecondPoolOnOneFilesystem_IsRefused) {
  for (const PoolKind kind : {PoolKind::kXfs, PoolKind::kBtrfs}) {
    const std::string name = kind == PoolKind::kXfs ? "x" : "b";
    ScratchDisk& disk = AddDisk(name, kGiB, MkfsOf(kind));
    const std::string first = disk.path() + "/first", second = disk.path() + "/second";
    fs::create_directory(first);
    if (kind == PoolKind::kBtrfs) {
      MustRun({"btrfs", "-q", "subvolume", "create", second});  // with a device number of its own
    } else {
      fs::create_directory(second);
    }
    MustRun({ProgramPath("holdfastctl"), "pool", "init", first, "--name", name + "1"});
    MustRun({ProgramPath("holdfastctl"), "pool", "init", second, "--name", name + "2"});
    driver().flags() = {"--pool", first, "--pool", second};
    Restart();
    EXPECT_NE(driver().Log().find("filesystem of pool " + second +
                                  ": expected one of its own, found that of pool " + name +
                                  "1 in " + first),
              std::string::npos)
        << driver().Log();
    const auto in = [&](int number) {
      return Create({.name = name + std::to_string(number),
                     .content = Content::kBlock,
                     .parameters = {{"pool", name + std::to_string(number)}}});
    };
    ASSERT_OK_AND_ASSIGN(const Claim claim, in(1));
    EXPECT_FALSE(in(2).ok());
    ASSERT_OK(Delete(claim));
  }
}

// Somebody else fills the pool while it is served: promises cannot be kept, so none is made.
TEST_F(PoolRefusalTest, ForeignFile_StopsCreates_AndThickVolumesStillTakeEveryWrite) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "early", .content = Content::kBlock}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  Execute({"dd", "if=/dev/zero", "of=" + pool() + "/foreign", "bs=1M", "status=none"});
  EXPECT_TRUE(Refused(Create({.name = "late", .content = Content::kBlock}),
                      absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(WriteBytesDirect(target, 0, claim.bytes, 1), 0);
  EXPECT_TRUE(HasBytes(target, 0, claim.bytes, 1));
  fs::remove(pool() + "/foreign");
  EXPECT_OK(Create({.name = "late", .content = Content::kBlock}));
}

}  // namespace
}  // namespace holdfast
