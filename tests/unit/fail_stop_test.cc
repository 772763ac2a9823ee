// Fail-stop on the simulated machine: who is stopped when, what is recorded, how it comes back.
#include "tests/unit/fail_stop_fixture.h"

#include "engine/image/ballast.h"
#include "engine/image/upkeep/image_upkeep.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(FailStopTest, AboveTheLine_NothingIsStopped) {
  const std::string id = Make("one", "0");
  MustStage(id);
  EXPECT_GT(Look(), std::chrono::milliseconds(2));
  LeaveFree(Status().stop_line_bytes + 8 * kMiB);
  EXPECT_LE(Look(), std::chrono::milliseconds(2));
  EXPECT_TRUE(Answers(id));
  EXPECT_EQ(Status().stopped_volumes, 0u);
}

TEST_F(FailStopTest, BelowTheLine_VolumesThatCanAllocateAreStopped_OnceAndRecorded) {
  const std::string thin = Make("thin", "0"), thick = Make("thick", "0", "thick");
  const std::string full = Make("full", "100"), away = Make("away", "0");
  for (const std::string& id : {thin, thick, full}) MustStage(id);
  Tend();
  EXPECT_GT(Status().ballast_bytes, 0u);
  LeaveFree(Status().stop_line_bytes - kMiB);
  Look();
  EXPECT_FALSE(Answers(thin));
  EXPECT_TRUE(Answers(thick)) << "it has all its blocks";
  EXPECT_TRUE(Answers(full)) << "the pool owes it what it may take";
  EXPECT_EQ(Status().stopped_volumes, 1u);
  EXPECT_EQ(Status().stops, 1u);
  EXPECT_THAT(told_, ::testing::Contains(HasSubstr(thin + " was stopped")));
  const uint64_t ballast = Status().ballast_bytes;
  EXPECT_LE(ballast, CatalogBallastBytes()) << "the other one was given back";
  Look();
  EXPECT_EQ(Status().stops, 1u) << "once";
}

TEST_F(FailStopTest, AStoppedVolume_ComesBackByUnstageAndStage_WhenThereIsRoom) {
  const std::string id = Make("one", "0");
  MustStage(id);
  LeaveFree(Status().stop_line_bytes - kMiB);
  Look();
  const grpc::Status again = rig_.Stage(id);
  EXPECT_EQ(again.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << again.error_message();
  EXPECT_THAT(again.error_message(), HasSubstr("was stopped"));
  EXPECT_FALSE(rig_.Publish(id).ok());
  ASSERT_TRUE(rig_.Unstage(id).ok());
  const grpc::Status full = rig_.Stage(id);
  EXPECT_EQ(full.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << full.error_message();
  EXPECT_THAT(full.error_message(), HasSubstr("free"));
  rig_.machine.RemovePath(std::string(kPool) + "/ballast");
  MustStage(id);
  EXPECT_TRUE(Answers(id));
  EXPECT_EQ(Status().stopped_volumes, 0u);
  LeaveFree(Status().stop_line_bytes - kMiB);
  Look();
  EXPECT_FALSE(Answers(id)) << "and is stopped again when it must be";
}

TEST_F(FailStopTest, AfterARestart_ItIsStillKnownWhatWasStopped) {
  const std::string id = Make("one", "0");
  MustStage(id);
  LeaveFree(Status().stop_line_bytes - kMiB);
  Look();
  rig_.Restart();
  EXPECT_EQ(Status().stopped_volumes, 1u);
  EXPECT_THAT(rig_.Stage(id).error_message(), HasSubstr("was stopped"));
  Look();
  EXPECT_EQ(Status().stops, 0u) << "not once more";
}

TEST_F(FailStopTest, TheDoctor_TellsWhatWasStopped) {
  const std::string id = Make("one", "0");
  MustStage(id);
  EXPECT_THAT(rig_.upkeep->Examine(false)->findings, IsEmpty());
  LeaveFree(Status().stop_line_bytes - kMiB);
  Look();
  const auto findings = rig_.upkeep->Examine(true)->findings;
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].kind, "stopped-volume");
  EXPECT_EQ(findings[0].object, id);
  EXPECT_FALSE(findings[0].offered);
}

TEST_F(FailStopTest, RestoreFromTheTrash_AfterOvercommitWasTakenBack_IsRefused) {
  Rig rig({.trash_grace = std::chrono::hours(24), .overcommit = true});
  auto request = rig.CreateRequest("one");
  (*request.mutable_parameters())["reserve"] = "50";
  csi::v1::Volume volume;
  ASSERT_TRUE(rig.Create(request, &volume).ok());
  ASSERT_TRUE(rig.Delete(volume.volume_id()).ok());
  Catalog& catalog = *rig.engine->pools().front()->catalog;
  const std::string incarnation = catalog.ListTrash()->front().incarnation;
  ASSERT_TRUE(catalog.SetOvercommit(false).ok());
  const auto restored = rig.upkeep->RestoreTrash(incarnation);
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(catalog.ListTrash()->size(), 1u);
  ASSERT_TRUE(catalog.SetOvercommit(true).ok());
  EXPECT_TRUE(rig.upkeep->RestoreTrash(incarnation).ok());
}

TEST_F(FailStopTest, FarBelowTheLine_AFullReserveIsStoppedAsWell_WhenTheOthersWereTooLittle) {
  const std::string full = Make("full", "100"), thin = Make("thin", "0");
  for (const std::string& id : {full, thin}) MustStage(id);
  LeaveFree(8 * kMiB);
  Look();
  EXPECT_FALSE(Answers(thin));
  EXPECT_TRUE(Answers(full)) << "perhaps that was enough";
  rig_.machine.RemovePath(std::string(kPool) + "/ballast");
  LeaveFree(Status().stop_line_bytes - kMiB);
  Look();
  LeaveFree(8 * kMiB);
  Look();
  EXPECT_TRUE(Answers(full)) << "it was";
  Look();
  EXPECT_FALSE(Answers(full)) << "somebody took what it was promised";
}

TEST_F(FailStopTest, WhenThePoolRunsLow_TrashIsPurgedBeforeAnythingIsStopped) {
  Rig rig({.pool_bytes = 2 * kGiB, .trash_grace = std::chrono::hours(24), .overcommit = true});
  auto request = rig.CreateRequest("old");
  request.mutable_capacity_range()->set_required_bytes(512 * kMiB);
  csi::v1::Volume volume;
  ASSERT_TRUE(rig.Create(request, &volume).ok());
  ASSERT_TRUE(rig.Delete(volume.volume_id()).ok());
  const auto quiet = [](const std::string&) {};
  rig.engine->fail_stop().Look(quiet);
  rig.engine->fail_stop().Tend(quiet);
  EXPECT_EQ(rig.engine->Pools().at(0).trash_entries, 1u);
  rig.machine.FillPool(kPool, rig.engine->Pools().at(0).stop_line_bytes + kMiB);
  rig.engine->fail_stop().Look(quiet);
  rig.engine->fail_stop().Tend(quiet);
  EXPECT_EQ(rig.engine->Pools().at(0).trash_entries, 0u);
  EXPECT_GT(rig.machine.FreeBytes(kPool), 512 * kMiB);
}

TEST_F(FailStopTest, TheCatalogsBallast_IsGivenBackToATransactionWithoutRoom) {
  const std::string id = Make("one", "0");
  Tend();
  Pool& pool = PoolOf(id);
  ASSERT_EQ(BallastHeld(pool, Ballast::kCatalog).value(), CatalogBallastBytes());
  int calls = 0;
  const absl::Status done = WithCatalogRoom(pool, [&]() -> absl::Status {
    return ++calls == 1 ? absl::ResourceExhaustedError("full") : absl::OkStatus();
  });
  EXPECT_TRUE(done.ok());
  EXPECT_EQ(BallastHeld(pool, Ballast::kCatalog).value(), 0u);
  calls = 0;
  EXPECT_FALSE(WithCatalogRoom(pool, [&]() -> absl::Status {
                 ++calls;
                 return absl::ResourceExhaustedError("full");
               }).ok());
  EXPECT_EQ(calls, 1) << "nothing was left to give back";
  Tend();
  EXPECT_EQ(BallastHeld(pool, Ballast::kCatalog).value(), CatalogBallastBytes()) << "taken again";
}

TEST_F(FailStopTest, WhatIsDirtyOfExt4_IsLimited_AlsoOfWhatRanBeforeTheStart) {
  const std::string ext4 = Make("one", "0");
  MustStage(ext4);
  EXPECT_THAT(rig_.machine.DirtyLimits(), ElementsAre(DirtyLimitBytes(Content::kExt4)));
  ASSERT_OK(rig_.machine.LimitDirty(rig_.machine.OpenLoops().at(0), 0));
  rig_.Restart();
  Tend();
  EXPECT_THAT(rig_.machine.DirtyLimits(), ElementsAre(DirtyLimitBytes(Content::kExt4)));
  ASSERT_TRUE(rig_.Unstage(ext4).ok());
  MustStage(Make("two", "0", "thin", "xfs"), "xfs");
  EXPECT_THAT(rig_.machine.DirtyLimits(), ElementsAre(0));
}

TEST_F(FailStopTest, WhatStoppingWouldWrite_IsAsGoodAsTaken) {
  const std::string ext4 = Make("one", "0");
  MustStage(ext4);
  Tend();
  LeaveFree(Status().stop_line_bytes + 100 * kMiB);
  rig_.machine.SetDirtyBytes(99 * kMiB, kGiB);
  Look();
  EXPECT_TRUE(Answers(ext4))
      << "there is room for what is dirty of it; the rest is not written here";
  rig_.machine.SetDirtyBytes(101 * kMiB, 0);
  Look();
  EXPECT_FALSE(Answers(ext4));
  EXPECT_THAT(told_, ::testing::Contains(HasSubstr(ext4 + " was stopped")));
}

TEST_F(FailStopTest, WhatIsDirtyOfXfs_IsDroppedWhenItIsStopped_AndTakesNothing) {
  const std::string xfs = Make("two", "0", "thin", "xfs");
  MustStage(xfs, "xfs");
  Tend();
  LeaveFree(Status().stop_line_bytes + 8 * kMiB);
  rig_.machine.SetDirtyBytes(kGiB, kGiB);
  Look();
  EXPECT_TRUE(Answers(xfs));
}

TEST_F(FailStopTest, WhatIsDirtyOfAVolumeThatRanBeforeTheStart_CountsAsSoonAsItIsFound) {
  const std::string ext4 = Make("one", "0");
  MustStage(ext4);
  LeaveFree(Status().stop_line_bytes + 100 * kMiB);
  rig_.machine.SetDirtyBytes(10 * kMiB, kGiB);
  rig_.Restart();
  Look();
  Tend();
  Look();
  EXPECT_TRUE(Answers(ext4));
  rig_.machine.SetDirtyBytes(101 * kMiB, 0);
  Look();
  EXPECT_FALSE(Answers(ext4));
}

class NoOvercommit : public FailStopTest {
 protected:
  NoOvercommit() : FailStopTest(false) {}
};

TEST_F(NoOvercommit, APoolThatIsNotOvercommitted_IsNeverLookedAt) {
  const std::string id = Make("one", "100");
  MustStage(id);
  EXPECT_TRUE(fail_stop().idle());
  EXPECT_THAT(rig_.machine.DirtyLimits(), ElementsAre(0));
  EXPECT_EQ(rig_.engine->WatchPools([](const std::string&) {}), nullptr);
  LeaveFree(kMiB);
  Look();
  Tend();
  EXPECT_TRUE(Answers(id));
  EXPECT_THAT(told_, IsEmpty());
  EXPECT_EQ(Status().ballast_bytes, 0u);
}

}  // namespace
}  // namespace holdfast
