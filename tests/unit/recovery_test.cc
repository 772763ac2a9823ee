// What a start makes of work/: whoever put something there is gone, and its row says what it is.
#include <gtest/gtest.h>

#include "tests/fakes/status_asserts.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

void Move(Rig& rig, const std::string& from, const std::string& to, const std::string& name) {
  const UniqueFd source = rig.machine.OpenFolder("/pool/" + from).value();
  const UniqueFd target = rig.machine.OpenFolder("/pool/" + to).value();
  ASSERT_OK(rig.machine.Rename(source, name, target, name));
}

using Names = std::vector<std::string>;

// Of the mutating calls of a cut: the file is made, tuned, cloned and synced before it.
constexpr int64_t kRenameOfASnapshot = 4;

// The power went after the claim and before the rename was on the disk.
TEST(Recovery, AnImageInWork_ThatAReadyRowClaims_TakesItsPlace) {
  Rig rig;
  const std::string id = rig.MustCreate("a", "block");
  csi::v1::Snapshot snapshot;
  ASSERT_TRUE(rig.Snapshot("s", id, &snapshot).ok());
  const Names volume = rig.machine.FilesIn("/pool/volumes");
  const Names cut = rig.machine.FilesIn("/pool/snapshots");
  ASSERT_EQ(volume.size(), 1u);
  ASSERT_EQ(cut.size(), 1u);
  Move(rig, "volumes", "work", volume.front());
  Move(rig, "snapshots", "work", cut.front());
  rig.Restart();
  EXPECT_EQ(rig.machine.FilesIn("/pool/work"), Names{});
  EXPECT_EQ(rig.machine.FilesIn("/pool/volumes"), volume);
  EXPECT_EQ(rig.machine.FilesIn("/pool/snapshots"), cut);
  EXPECT_TRUE(rig.Stage(id, "block").ok());
  csi::v1::CreateVolumeRequest restore = rig.CreateRequest("b", "block");
  restore.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id(
      snapshot.snapshot_id());
  EXPECT_TRUE(rig.Create(restore, nullptr).ok());
}

TEST(Recovery, AnImageInWork_ThatTheTrashClaims_GoesThere) {
  Rig rig({.trash_grace = std::chrono::hours(24)});
  ASSERT_TRUE(rig.Delete(rig.MustCreate("a")).ok());
  const Names kept = rig.machine.FilesIn("/pool/trash");
  ASSERT_EQ(kept.size(), 1u);
  Move(rig, "trash", "work", kept.front());
  rig.Restart();
  EXPECT_EQ(rig.machine.FilesIn("/pool/work"), Names{});
  EXPECT_EQ(rig.machine.FilesIn("/pool/trash"), kept);
}

TEST(Recovery, AFileInWork_ThatNobodyClaims_IsRemoved) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  const UniqueFd work = rig.machine.OpenFolder("/pool/work").value();
  ASSERT_OK(rig.machine.CreateFile(work, "0b0e9d0a-8f0a-4a1c-9d6a-2f6f0f6f0f6f.img").status());
  rig.Restart();
  EXPECT_EQ(rig.machine.FilesIn("/pool/work"), Names{});
  EXPECT_TRUE(rig.Stage(id).ok());
}

// What is no file, or a copy of what has its place, keeps nobody from his volumes.
TEST(Recovery, WhatCannotBeSettledInWork_IsLeftThere) {
  Rig rig;
  const std::string id = rig.MustCreate("a");
  rig.machine.MakeFolders("/pool/work/folder");
  rig.machine.MakeFile("/pool/work/" + rig.machine.FilesIn("/pool/volumes").front());
  rig.Restart();
  EXPECT_EQ(rig.engine->Pools().front().refusal, "");
  EXPECT_EQ(rig.machine.FilesIn("/pool/work").size(), 2u);
  EXPECT_TRUE(rig.Stage(id).ok());
}

// The deletion was recorded, and its first deed was not done.
TEST(Recovery, AnImageInWork_WhoseRowIsDeleting_IsDeleted) {
  Rig rig({.trash_grace = std::chrono::hours(24)});
  const std::string id = rig.MustCreate("a");
  const Names image = rig.machine.FilesIn("/pool/volumes");
  Move(rig, "volumes", "work", image.front());
  rig.host.plan().FailNth(0, FaultPlan::Counts::kMutatingCalls,
                          absl::InternalError("no rename today"), /*persistent=*/true);
  ASSERT_FALSE(rig.Delete(id).ok());
  rig.host.plan().Clear();
  rig.Restart();
  EXPECT_EQ(rig.machine.FilesIn("/pool/work"), Names{});
  EXPECT_EQ(rig.machine.FilesIn("/pool/trash"), image);
  EXPECT_TRUE(rig.Delete(id).ok());
}

// What of the two failures came to happen, and whether the start then showed a claimed image.
struct DyingPool {
  bool host_failed = false, catalog_failed = false, shown = false;
};

// Host and catalog both fail for good, each from one of its calls on: the claim may stand and can
// neither be shown nor taken back.
DyingPool CutOnADyingPool(int64_t host_call, int64_t catalog_call) {
  Rig rig;
  const std::string id = rig.MustCreate("a", "block");
  const auto gone = absl::InternalError("disk gone");
  rig.host.plan().FailNth(host_call, FaultPlan::Counts::kMutatingCalls, gone, true);
  rig.catalog_plan.FailNth(catalog_call, FaultPlan::Counts::kAllCalls, gone, true);
  const bool cut = rig.Snapshot("s", id).ok();
  DyingPool result{.host_failed = rig.host.plan().count() > host_call,
                   .catalog_failed = rig.catalog_plan.count() > catalog_call};
  rig.host.plan().Clear();
  rig.catalog_plan.Clear();
  const bool in_work = !rig.machine.FilesIn("/pool/work").empty();
  rig.Restart();
  EXPECT_EQ(rig.machine.FilesIn("/pool/work"), Names{});
  const uint64_t answers = rig.engine->Pools().front().snapshots;
  EXPECT_EQ(rig.machine.FilesIn("/pool/snapshots").size(), answers);
  EXPECT_TRUE(!cut || answers == 1);
  result.shown = in_work && answers == 1;
  EXPECT_TRUE(rig.Snapshot("s", id).ok());
  EXPECT_EQ(rig.machine.FilesIn("/pool/snapshots").size(), 1u);
  return result;
}

TEST(Recovery, ASnapshotThatWasClaimedAndCouldNotBeShown_IsWholeAfterAStart) {
  int shown = 0;
  DyingPool last{.host_failed = true};
  for (int64_t host_call = 0; last.host_failed; ++host_call) {
    last.catalog_failed = true;
    for (int64_t catalog_call = 0; last.catalog_failed; ++catalog_call) {
      SCOPED_TRACE(testing::Message() << "host " << host_call << ", catalog " << catalog_call);
      last = CutOnADyingPool(host_call, catalog_call);
      shown += last.shown ? 1 : 0;
    }
  }
  EXPECT_GT(shown, 0);
}

// The same without a start: whoever repeats the call is told the truth.
TEST(Recovery, ASnapshotThatWasClaimedAndCouldNotBeShown_IsShownWhenItIsAskedForAgain) {
  int shown = 0;
  bool catalog_failed = true;
  for (int64_t catalog_call = 0; catalog_failed; ++catalog_call) {
    SCOPED_TRACE(catalog_call);
    Rig rig;
    const std::string id = rig.MustCreate("a", "block");
    rig.host.plan().FailNth(kRenameOfASnapshot, FaultPlan::Counts::kMutatingCalls,
                            absl::InternalError("disk gone"), true);
    rig.catalog_plan.FailNth(catalog_call, FaultPlan::Counts::kAllCalls,
                             absl::InternalError("disk gone"), true);
    EXPECT_FALSE(rig.Snapshot("s", id).ok());
    catalog_failed = rig.catalog_plan.count() > catalog_call;
    rig.host.plan().Clear();
    rig.catalog_plan.Clear();
    shown += rig.machine.FilesIn("/pool/work").empty() ? 0 : 1;
    csi::v1::Snapshot snapshot;
    ASSERT_TRUE(rig.Snapshot("s", id, &snapshot).ok());
    csi::v1::CreateVolumeRequest restore = rig.CreateRequest("b", "block");
    restore.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id(
        snapshot.snapshot_id());
    const grpc::Status restored = rig.Create(restore, nullptr);
    EXPECT_TRUE(restored.ok()) << restored.error_message();
  }
  EXPECT_GT(shown, 0);
}

}  // namespace
}  // namespace holdfast
