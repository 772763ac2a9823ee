// What kubelet and workloads do to a root while it is mounted is never held against the volume.
#include <signal.h>

#include <filesystem>

#include "tests/integration/integration_test.h"

namespace holdfast {
namespace {

class LawfulChangesTest : public GroundTest {
 protected:
  // kubelet's fsGroup walk: group and setgid of every folder, group bits of every file.
  static void WalkFsGroup(const std::string& target) {
    MustRun({"chown", "-R", ":2000", target});
    MustRun({"find", target, "-type", "d", "-exec", "chmod", "2770", "{}", "+"});
    MustRun({"find", target, "-type", "f", "-exec", "chmod", "0660", "{}", "+"});
  }

  // Mounts gone with no word to the driver, and a record of another boot.
  void Reboot(const Claim& claim, const std::vector<std::string>& mounts) {
    driver().Kill();
    for (const std::string& mount : mounts) MustRun({"umount", mount});
    ChangeRow(claim, [](Volume& row) {
      EXPECT_EQ(row.stage.last_end, LastEnd::kStaged);
      row.stage.boot_id = "00000000-0000-0000-0000-000000000000";
    });
    KillAndRestart();
  }
};

INSTANTIATE_TEST_SUITE_P(Grounds, LawfulChangesTest, ::testing::ValuesIn(FilesystemGrounds()),
                         GroundName);

TEST_P(LawfulChangesTest, FsGroupWalkAndAclsWhileMounted_AreNeverRefused) {
  ASSERT_OK_AND_ASSIGN(Claim claim, Create({.name = "walked", .content = content()}));
  claim.mode = kMultiWriter;
  ASSERT_OK(Stage(claim));
  ASSERT_OK_AND_ASSIGN(const std::string first, Publish(claim, "first"));
  ASSERT_EQ(WriteBytes(first + "/data", 0, kMiB, 1), 0);
  WalkFsGroup(first);
  // A second publish after the walk, another workload's changes, and a third.
  ASSERT_OK_AND_ASSIGN(const std::string second, Publish(claim, "second"));
  MustRun({"setfacl", "-m", "u:70:rwx", "-m", "d:u:70:rwx", second});
  MustRun({"chmod", "u-w", second});
  ASSERT_OK_AND_ASSIGN(const std::string third, Publish(claim, "third"));
  const RootFacts left = RootOf(third);
  for (const char* pod : {"first", "second", "third"}) ASSERT_OK(Unpublish(claim, pod));
  ASSERT_OK(Unstage(claim));

  ASSERT_OK_AND_ASSIGN(const std::string again, Show(claim));
  EXPECT_EQ(RootOf(again), left);
  EXPECT_TRUE(HasBytes(again + "/data", 0, kMiB, 1));
}

// btrfs cannot be shut down.
class ShutDownTest : public LawfulChangesTest {};
INSTANTIATE_TEST_SUITE_P(Grounds, ShutDownTest,
                         ::testing::Values(Ground{PoolKind::kXfs, Content::kExt4},
                                           Ground{PoolKind::kXfs, Content::kXfs}),
                         GroundName);

// What ext4 says of its root then is what it has in memory; the disk has the one of before.
TEST_P(ShutDownTest, ShutDownWithAChangeThatNeverReachedTheDisk_IsNotRefusedForWhatIsThere) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "shut", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  MustRun({"sync", "--file-system", target});
  MustRun({"chmod", "0711", target});
  MustRun({"xfs_io", "-x", "-c", "shutdown", target});  // the log is not flushed
  ASSERT_OK(PutAway(claim));
  ASSERT_OK_AND_ASSIGN(const std::string again, Show(claim));
  EXPECT_EQ(RootOf(again).mode, "755");
}

TEST_P(LawfulChangesTest, KillOfTheServerUnderRunningMounts_ChangesNothingForThem) {
  ASSERT_OK_AND_ASSIGN(Claim claim, Create({.name = "running", .content = content()}));
  claim.mode = kMultiWriter;
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  const auto fio =
      Child::Start({"fio", "--thread", "--name=through", "--filename=" + target + "/fio",
                    "--size=8m", "--rw=randwrite", "--bs=4k", "--fsync=8", "--time_based",
                    "--runtime=120s", "--verify=crc32c", "--verify_state_save=0"},
                   {});
  EXPECT_FALSE(fio->Wait(std::chrono::milliseconds(300)));
  MustRun({"chmod", "0770", target});
  const std::vector<std::string> mounts = MountsBelow(folder());
  KillAndRestart();
  EXPECT_EQ(MountsBelow(folder()), mounts);
  EXPECT_FALSE(fio->Wait(std::chrono::milliseconds(200))) << "fio met an error";
  // The new server knows the old one's stage and publish.
  EXPECT_OK(Stage(claim));
  EXPECT_OK(Publish(claim));
  EXPECT_EQ(MountsBelow(folder()), mounts);
  ASSERT_OK_AND_ASSIGN(const std::string second, Publish(claim, "second"));
  EXPECT_EQ(RootOf(second).mode, "770");
  fio->Signal(SIGINT);
  EXPECT_TRUE(fio->Wait(std::chrono::seconds(20)));
  ASSERT_OK(Unpublish(claim, "second"));
  ASSERT_OK(PutAway(claim));
  ASSERT_OK(Show(claim));
}

TEST_P(LawfulChangesTest, Reboot_AfterChangesWhileMounted_IsANewBaseline) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "rebooted", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  ASSERT_EQ(WriteBytes(target + "/data", 0, kMiB, 2), 0);
  WalkFsGroup(target);
  const RootFacts left = RootOf(target);
  Reboot(claim, {target, StagingPath(claim)});

  // The empty folders of the host are there, and never shown.
  EXPECT_TRUE(Refused(Publish(claim), absl::StatusCode::kFailedPrecondition, {"since this boot"}));
  EXPECT_FALSE(Mounted(target));
  ASSERT_OK(Stage(claim));
  ASSERT_OK(Publish(claim));
  EXPECT_EQ(RootOf(target), left);
  EXPECT_TRUE(HasBytes(target + "/data", 0, kMiB, 2));
  EXPECT_NE(driver().Log().find("recorded anew"), std::string::npos) << "the change was not told";
}

// An administrator unmounts the staging path, and the driver learns of it when kubelet unstages.
TEST_P(LawfulChangesTest, Unstage_AfterAnUnmountByHand_TellsThatTheRootIsANewBaseline) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "by-hand", .content = content()}));
  ASSERT_OK(Stage(claim));
  MustRun({"umount", StagingPath(claim)});
  ASSERT_TRUE(LoopsOfImage(claim).empty());
  WithImageMounted(claim, [](const std::string& path) { MustRun({"chmod", "0701", path}); });
  ASSERT_OK(Unstage(claim));
  const auto told = [&] {
    const std::string log = driver().Log();
    size_t count = 0;
    for (size_t at = 0; (at = log.find("recorded anew", at)) != std::string::npos; ++at) ++count;
    return count;
  };
  EXPECT_EQ(told(), 1u) << driver().Log();
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  EXPECT_EQ(RootOf(target).mode, "701");
  EXPECT_EQ(told(), 1u) << "it is told once";
}

TEST_P(LawfulChangesTest, SnapshotsAndClones_OfAChangedRoot_CarryIt) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "changed", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  WalkFsGroup(target);
  MustRun({"setfacl", "-m", "u:70:rwx", target});
  const RootFacts changed = RootOf(target);
  ASSERT_OK_AND_ASSIGN(const std::string snapshot, Snapshot(claim, "cut"));
  MustRun({"chmod", "0755", target});
  ASSERT_OK_AND_ASSIGN(const Claim clone,
                       Create({.name = "clone", .content = content(), .volume_id = claim.id}));
  ASSERT_OK_AND_ASSIGN(const Claim restored,
                       Create({.name = "restored", .content = content(), .snapshot_id = snapshot}));
  ASSERT_OK_AND_ASSIGN(const std::string restored_target, Show(restored));
  EXPECT_EQ(RootOf(restored_target), changed);
  ASSERT_OK_AND_ASSIGN(const std::string clone_target, Show(clone));
  EXPECT_EQ(RootOf(clone_target), RootOf(target));
}

}  // namespace
}  // namespace holdfast
