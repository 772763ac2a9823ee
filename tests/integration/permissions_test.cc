// A root directory that changed while its volume was put away is seen before anybody else sees it.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "tests/integration/integration_test.h"

namespace holdfast {
namespace {

// What somebody does to a root, and the words by which the refusal names it.
struct RootChange {
  std::function<void(const std::string&)> apply;
  std::vector<std::string> words;
};

const std::vector<RootChange>& RootChanges() {
  static const std::vector<RootChange> kChanges = {
      {[](const std::string& root) {
         MustRun({"chmod", "0777", root});
       },
       {"expected mode 0755", "found mode 0777"}},
      {[](const std::string& root) {
         MustRun({"chown", "7:8", root});
       },
       {"expected owner 0:0", "found owner 7:8"}},
      {[](const std::string& root) {
         MustRun({"setfacl", "-m", "u:1234:r-x", root});
       },
       {"ACL none", "ACL user", "1234"}},
      {[](const std::string& root) {
         MustRun({"setfacl", "-d", "-m", "u:1234:rwx", root});
       },
       {"default ACL none", "1234"}},
  };
  return kChanges;
}

class PermissionsTest : public GroundTest {
 protected:
  // Refused twice in the same words, before anything was mounted and with no trace of the try.
  std::string ExpectRefused(const Claim& claim, const std::vector<std::string>& words) {
    const absl::Status first = Stage(claim);
    EXPECT_TRUE(Refused(first, absl::StatusCode::kFailedPrecondition, words));
    EXPECT_TRUE(Refused(
        first, absl::StatusCode::kFailedPrecondition,
        {"root directory of volume " + claim.id, "holdfastctl volume acknowledge " + claim.id}));
    const absl::Status second = Stage(claim);
    EXPECT_EQ(first.message(), second.message());
    EXPECT_FALSE(Mounted(StagingPath(claim)));
    EXPECT_TRUE(Refused(Publish(claim), absl::StatusCode::kFailedPrecondition));
    EXPECT_FALSE(Mounted(TargetPath(claim)));
    EXPECT_EQ(LoopsOfImage(claim), std::vector<std::string>());
    return std::string(second.message());
  }
};

INSTANTIATE_TEST_SUITE_P(Grounds, PermissionsTest, ::testing::ValuesIn(FilesystemGrounds()),
                         GroundName);

TEST_P(PermissionsTest, Stage_RootChangedOnAPutAwayVolume_IsRefusedUntilAcknowledged) {
  int number = 0;
  for (const RootChange& change : RootChanges()) {
    ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "put-away-" + std::to_string(++number),
                                                    .content = content()}));
    ASSERT_OK(Show(claim));
    ASSERT_OK(PutAway(claim));
    WithImageMounted(claim, change.apply);
    const std::string sentence = ExpectRefused(claim, change.words);
    Restart();
    EXPECT_EQ(Stage(claim).message(), sentence) << "a restart forgot the verdict";

    const Ended acknowledged = Ctl({"volume", "acknowledge", claim.id});
    EXPECT_EQ(acknowledged.exit_code, 0) << acknowledged.output;
    ASSERT_OK(Show(claim));
    ASSERT_OK(PutAway(claim));
    ASSERT_OK(Stage(claim));
    ASSERT_OK(Unstage(claim));
    ASSERT_OK(Delete(claim));
  }
}

TEST_P(PermissionsTest, Stage_RootChangedBeforeTheFirstStage_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "fresh", .content = content()}));
  WithImageMounted(claim, RootChanges()[0].apply);
  ExpectRefused(claim, RootChanges()[0].words);
}

TEST_P(PermissionsTest, Stage_RootChangedOnARestore_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim source, Create({.name = "source", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string snapshot, Snapshot(source, "cut"));
  ASSERT_OK_AND_ASSIGN(const Claim restored,
                       Create({.name = "restored", .content = content(), .snapshot_id = snapshot}));
  WithImageMounted(restored, RootChanges()[1].apply);
  ExpectRefused(restored, RootChanges()[1].words);
}

TEST_P(PermissionsTest, Stage_RecordedRootMissing_IsRefused_AndInspectShowsWhy) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "unrecorded", .content = content()}));
  ChangeRow(claim, [](Volume& row) { row.stage.root.reset(); });
  const std::string sentence =
      ExpectRefused(claim, {"expected a recorded identity", "mode 0755", "owner 0:0"});
  const Ended inspected = Ctl({"--json", "volume", "inspect", claim.id});
  EXPECT_EQ(inspected.exit_code, 0) << inspected.output;
  EXPECT_NE(inspected.output.find("expected a recorded identity"), std::string::npos)
      << inspected.output;
  EXPECT_EQ(Ctl({"volume", "acknowledge", claim.id}).exit_code, 0);
  EXPECT_OK(Stage(claim));
}

TEST_P(PermissionsTest, Stage_AfterASimulatedReboot_RefusesWhatCtimeDoesNotExplain) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "rebooted", .content = content()}));
  // The record says: staged under another kernel; the root was another one, at the same ctime.
  ASSERT_OK(Stage(claim));
  ASSERT_OK(Unstage(claim));
  ChangeRow(claim, [](Volume& row) {
    row.stage.last_end = LastEnd::kStaged;
    row.stage.boot_id = "00000000-0000-0000-0000-000000000000";
    row.stage.root->mode = 0700;
  });
  ExpectRefused(claim, {"expected mode 0700", "found mode 0755"});
}

// What a stage would refuse is not to be had through a copy either.
TEST_P(PermissionsTest, Copies_OfARootChangedWhilePutAway_AreRefusedWithTheField) {
  int number = 0;
  for (const RootChange& change : RootChanges()) {
    const std::string name = "source-" + std::to_string(++number);
    ASSERT_OK_AND_ASSIGN(const Claim source, Create({.name = name, .content = content()}));
    WithImageMounted(source, change.apply);
    EXPECT_TRUE(
        Refused(Create({.name = name + "-clone", .content = content(), .volume_id = source.id}),
                absl::StatusCode::kDataLoss, change.words));
    ASSERT_OK_AND_ASSIGN(const std::string snapshot, Snapshot(source, name + "-cut"));
    EXPECT_TRUE(
        Refused(Create({.name = name + "-restore", .content = content(), .snapshot_id = snapshot}),
                absl::StatusCode::kDataLoss, change.words));
    // Once its stage was refused nothing is cut of it, in the same words.
    const std::string sentence = ExpectRefused(source, change.words);
    EXPECT_EQ(Snapshot(source, name + "-later").status().message(), sentence);
    EXPECT_EQ(Create({.name = name + "-clone", .content = content(), .volume_id = source.id})
                  .status()
                  .message(),
              sentence);
  }
}

// A crash: the record may lawfully be out of date, but only by what a workload can change.
TEST_P(PermissionsTest, Copies_AfterAnEndThatNobodySaw_CarryWhatTheWorkloadChanged) {
  ASSERT_OK_AND_ASSIGN(const Claim source, Create({.name = "source", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(source));
  MustRun({"chmod", "0701", target});
  MustRun({"umount", target});
  MustRun({"umount", StagingPath(source)});
  ASSERT_OK_AND_ASSIGN(const std::string snapshot, Snapshot(source, "cut"));
  for (const Wanted& wanted :
       {Wanted{.name = "clone", .content = content(), .volume_id = source.id},
        Wanted{.name = "restore", .content = content(), .snapshot_id = snapshot}}) {
    ASSERT_OK_AND_ASSIGN(const Claim copy, Create(wanted));
    EXPECT_NE(
        driver().Log().find(" warning root directory of the clone " + copy.id + ": was mode 0755"),
        std::string::npos)
        << driver().Log();
    ASSERT_OK_AND_ASSIGN(const std::string shown, Show(copy));
    EXPECT_EQ(RootOf(shown).mode, "701");
  }
}

TEST_P(PermissionsTest, Driver_NeverChangesTheRoot_AcrossStagesAndPublishes) {
  ASSERT_OK_AND_ASSIGN(const Claim claim,
                       Create({.name = "kept",
                               .content = content(),
                               .parameters = {{"rootMode", "2750"}, {"rootOwner", "26:27"}}}));
  std::string expected_times;
  RootFacts expected;
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
    const std::string times = MustRun({"stat", "--format=%i %w %z", target});
    const RootFacts facts = RootOf(target);
    if (i == 0) {
      EXPECT_EQ(facts.mode, "2750");
      EXPECT_EQ(facts.owner, "26:27");
      MustRun({"setfacl", "-m", "u:99:r-x", target});
      expected = RootOf(target);
      expected_times = MustRun({"stat", "--format=%i %w %z", target});
    } else {
      EXPECT_EQ(facts, expected);
      EXPECT_EQ(times, expected_times) << "inode, birth time or ctime of the root changed";
    }
    EXPECT_EQ(RootOf(StagingPath(claim)), RootOf(target));
    ASSERT_OK(PutAway(claim));
  }
}

class Ext4RootTest : public IntegrationTest {};

// No mount, no ctime: what H2 and H4 of verified mounts look like.
TEST_F(Ext4RootTest, Stage_RootChangedByDebugfs_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "debugfs"}));
  ASSERT_OK(Show(claim));
  ASSERT_OK(PutAway(claim));
  MustRun({"debugfs", "-w", "-R", "set_inode_field <2> mode 040700", ImagePath(claim)});
  MustRun({"debugfs", "-w", "-R", "set_inode_field <2> uid 1000", ImagePath(claim)});
  const std::string before = DigestOf(ImagePath(claim));
  EXPECT_TRUE(Refused(Stage(claim), absl::StatusCode::kFailedPrecondition,
                      {"mode 0755", "mode 0700", "owner 0:0", "owner 1000:0"}));
  EXPECT_FALSE(Mounted(StagingPath(claim)));
  // The verdict is kept: the image is not touched again.
  const std::string judged = DigestOf(ImagePath(claim));
  EXPECT_FALSE(Stage(claim).ok());
  EXPECT_EQ(DigestOf(ImagePath(claim)), judged);
  EXPECT_NE(before, "");
}

TEST_F(Ext4RootTest, Stage_RootInodeCleared_IsRefusedInASentenceOfItsVolume) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "cleared"}));
  MustRun({"debugfs", "-w", "-R", "clri <2>", ImagePath(claim)});
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(Refused(Stage(claim), absl::StatusCode::kDataLoss,
                        {claim.id, "expected an intact ext4", "restore a snapshot"}));
  }
}

// The same after a crash, when the record does not say how the root was left: it says which it was.
TEST_F(Ext4RootTest, Copies_OfARootRecreatedByAnfsckAfterACrash_AreRefused) {
  ASSERT_OK_AND_ASSIGN(
      const Claim claim,
      Create({.name = "fsck", .parameters = {{"rootMode", "0700"}, {"rootOwner", "26:26"}}}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  MustRun({"mkdir", target + "/pgdata"});
  // mke2fs and e2fsck write birth times in whole seconds.
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  MustRun({"umount", target});
  MustRun({"umount", StagingPath(claim)});
  MustRun({"debugfs", "-w", "-R", "clri <2>", ImagePath(claim)});
  Execute({"e2fsck", "-fy", ImagePath(claim)});
  const std::vector<std::string> words = {"birth time", "mode 0700", "mode 0755", "owner 26:26",
                                          "owner 0:0"};
  EXPECT_TRUE(Refused(Create({.name = "clone", .volume_id = claim.id}), absl::StatusCode::kDataLoss,
                      words));
  ASSERT_OK_AND_ASSIGN(const std::string snapshot, Snapshot(claim, "cut"));
  EXPECT_TRUE(Refused(Create({.name = "restore", .snapshot_id = snapshot}),
                      absl::StatusCode::kDataLoss, words));
  EXPECT_TRUE(Refused(Stage(claim), absl::StatusCode::kFailedPrecondition, words));
}

// Defaults in the image that would defeat the promise do not count (tune2fs -o).
TEST_F(Ext4RootTest, Stage_OfAnImageWithUnsafeMountDefaults_MountsItSafely) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "defaults"}));
  MustRun({"tune2fs", "-o", "nobarrier,journal_data_writeback", ImagePath(claim)});
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  ASSERT_EQ(LoopsOfImage(claim).size(), 1u);
  const std::string device = LoopsOfImage(claim)[0].substr(5);
  const std::string options = MustRun({"cat", "/proc/fs/ext4/" + device + "/options"});
  EXPECT_EQ(options.find("nobarrier"), std::string::npos) << options;
  EXPECT_NE(options.find("data=ordered"), std::string::npos) << options;
}

TEST_F(Ext4RootTest, Stage_RootRecreatedAs0755ByAnfsck_IsRefused) {
  ASSERT_OK_AND_ASSIGN(
      const Claim claim,
      Create({.name = "fsck", .parameters = {{"rootMode", "0700"}, {"rootOwner", "26:26"}}}));
  MustRun({"debugfs", "-w", "-R", "clri <2>", ImagePath(claim)});
  Execute({"e2fsck", "-fy", ImagePath(claim)});
  EXPECT_TRUE(Refused(Stage(claim), absl::StatusCode::kFailedPrecondition,
                      {"mode 0700", "mode 0755", "owner 26:26", "owner 0:0"}));
  EXPECT_FALSE(Mounted(StagingPath(claim)));
}

}  // namespace
}  // namespace holdfast
