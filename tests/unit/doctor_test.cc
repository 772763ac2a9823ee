// The doctor on the simulated machine: each finding, its fix, and what it leaves alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/uuid.h"
#include "engine/image/upkeep/image_upkeep.h"
#include "tests/fakes/status_asserts.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class DoctorTest : public testing::Test {
 protected:
  DoctorTest() : rig_({.trash_grace = std::chrono::hours(24)}) {}

  Pool& pool() { return *rig_.engine->pools().front(); }
  Catalog& catalog() { return *pool().catalog; }

  std::vector<Finding> Examine(bool fix = false) {
    const auto examination = rig_.upkeep->Examine(fix);
    EXPECT_OK(examination);
    return examination.ok() ? examination->findings : std::vector<Finding>{};
  }
  std::vector<std::string> Kinds(bool fix = false) {
    std::vector<std::string> kinds;
    for (const Finding& finding : Examine(fix)) {
      EXPECT_FALSE(finding.expected.empty() || finding.found.empty() || finding.fix.empty());
      EXPECT_EQ(finding.done, fix && finding.offered) << finding.failure;
      kinds.push_back(finding.kind);
    }
    return kinds;
  }
  // Told without being touched, mended when asked to, gone afterwards.
  void ExpectMended(const std::string& kind) {
    EXPECT_THAT(Kinds(), ElementsAre(kind));
    EXPECT_THAT(Kinds(), ElementsAre(kind)) << "looking changed something";
    const auto treated = Examine(true);
    ASSERT_EQ(treated.size(), 1U);
    EXPECT_TRUE(treated[0].offered && treated[0].done) << treated[0].failure;
    EXPECT_THAT(Kinds(), IsEmpty());
  }
  // Told, and not touched even when asked to mend.
  void ExpectOnlyTold(const std::string& kind) {
    EXPECT_THAT(Kinds(true), ElementsAre(kind));
    const auto again = Examine();
    ASSERT_EQ(again.size(), 1U);
    EXPECT_FALSE(again[0].offered);
  }

  Rig rig_;
};

TEST_F(DoctorTest, AHealthyPool_HasNoFindings) {
  const std::string id = rig_.MustCreate("a"), block = rig_.MustCreate("b", "block");
  ASSERT_TRUE(rig_.Snapshot("s", id).ok());
  ASSERT_TRUE(rig_.Delete(rig_.MustCreate("c")).ok());
  ASSERT_TRUE(rig_.Stage(id).ok() && rig_.Publish(id).ok());
  ASSERT_TRUE(rig_.Stage(block, "block").ok() && rig_.Publish(block, "two", "block").ok());
  ASSERT_OK_AND_ASSIGN(const Examination examination, rig_.upkeep->Examine(true));
  EXPECT_THAT(examination.findings, IsEmpty());
  EXPECT_EQ(examination.examined.volumes, 2U);
  EXPECT_EQ(examination.examined.snapshots, 1U);
  EXPECT_EQ(examination.examined.trash_entries, 1U);
  EXPECT_EQ(examination.examined.files, 4U);
  EXPECT_EQ(examination.examined.loops, 2U);
  EXPECT_EQ(rig_.machine.OpenLoops().size(), 2U);
  EXPECT_TRUE(rig_.Unpublish(id).ok() && rig_.Unstage(id).ok());
}

TEST_F(DoctorTest, LoopOnAnImageThatIsPutAway_IsDetached) {
  rig_.machine.AttachForeign(rig_.ImagePath(rig_.MustCreate("a")));
  ExpectMended("leaked-loop");
  EXPECT_THAT(rig_.machine.OpenLoops(), IsEmpty());
}

TEST_F(DoctorTest, SecondLoopOnAStagedImage_IsDetachedAndTheStageStays) {
  const std::string id = rig_.MustCreate("a");
  ASSERT_TRUE(rig_.Stage(id).ok() && rig_.Publish(id).ok());
  const Loop leaked = rig_.machine.AttachForeign(rig_.ImagePath(id));
  const auto findings = Examine(true);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].object, leaked.path);
  EXPECT_EQ(rig_.machine.OpenLoops().size(), 1U);
  EXPECT_TRUE(rig_.Unpublish(id).ok() && rig_.Unstage(id).ok());
}

TEST_F(DoctorTest, LoopThatSomebodyHasOpen_IsToldAndLeft) {
  const Loop loop = rig_.machine.AttachForeign(rig_.ImagePath(rig_.MustCreate("a")));
  rig_.machine.OpenLoopAs(loop.number, "dd (pid 7)");
  ExpectOnlyTold("held-loop");
  EXPECT_THAT(Examine()[0].found, HasSubstr("dd (pid 7)"));
  EXPECT_EQ(rig_.machine.OpenLoops().size(), 1U);
  rig_.machine.CloseLoopAs(loop.number);
}

TEST_F(DoctorTest, LoopOnAFileElsewhereOnTheSameFilesystem_IsNobodysBusiness) {
  rig_.machine.MakeFile("/pool/other.img");
  rig_.machine.AttachForeign("/pool/other.img");
  EXPECT_THAT(Kinds(true), IsEmpty());
  EXPECT_EQ(rig_.machine.OpenLoops().size(), 1U);
}

TEST_F(DoctorTest, LeftoverInWorkWithItsLoop_GoesAndNothingElseDoes) {
  const std::string kept = rig_.MustCreate("kept");
  const std::string name = ImageName(NewUuid());
  {
    ASSERT_OK_AND_ASSIGN(const UniqueFd file, rig_.machine.CreateFile(pool().work, name));
    ASSERT_OK(rig_.machine.Resize(file, 1 << 20));
  }
  rig_.machine.AttachForeign("/pool/work/" + name);
  EXPECT_THAT(Kinds(), ElementsAre("leaked-loop"));  // the file is in use, by the loop
  EXPECT_THAT(Kinds(true), ElementsAre("leaked-loop", "work-leftover"));
  EXPECT_THAT(Kinds(), IsEmpty());
  EXPECT_THAT(rig_.machine.FilesIn("/pool/work"), IsEmpty());
  EXPECT_TRUE(rig_.Stage(kept).ok());
}

TEST_F(DoctorTest, FileInWorkThatSomebodyWrites_IsLeft) {
  rig_.machine.MakeFile("/pool/work/being-made");
  rig_.machine.OpenImageAs("/pool/work/being-made", "holdfast (pid 7)");
  EXPECT_THAT(Kinds(true), IsEmpty());
  rig_.machine.CloseImageAs("/pool/work/being-made");
  ExpectMended("work-leftover");
}

TEST_F(DoctorTest, Orphan_IsToldAndNeverTouched) {
  rig_.machine.MakeFile("/pool/volumes/stray");
  ExpectOnlyTold("orphan");
  EXPECT_THAT(rig_.machine.FilesIn("/pool/volumes"), ElementsAre("stray"));
}

TEST_F(DoctorTest, ImageOfARowThatIsGone_IsTold) {
  const std::string id = rig_.MustCreate("a");
  rig_.machine.RemovePath(rig_.ImagePath(id));
  ExpectOnlyTold("missing-file");
  EXPECT_EQ(Examine()[0].object, id);
}

TEST_F(DoctorTest, ImageThatWasRenamedByHand_IsRenamedBack) {
  const Volume volume = rig_.Row(rig_.MustCreate("a"));
  ASSERT_OK(
      rig_.machine.Rename(pool().volumes, ImageName(volume.incarnation), pool().trash, "mine.img"));
  ExpectMended("misplaced-file");
  EXPECT_TRUE(rig_.Stage(volume.id).ok());
}

TEST_F(DoctorTest, ImageInUseThatWasRenamedByHand_IsRenamedBackAndItsLoopStays) {
  const std::string id = rig_.MustCreate("a", "block");
  ASSERT_TRUE(rig_.Stage(id, "block").ok());
  ASSERT_OK(rig_.machine.Rename(pool().volumes, ImageName(rig_.Row(id).incarnation), pool().trash,
                                "mine.img"));
  ExpectMended("misplaced-file");
  EXPECT_EQ(rig_.machine.OpenLoops().size(), 1U);
  EXPECT_TRUE(rig_.Unstage(id).ok());
}

TEST_F(DoctorTest, ImageThatWasReplaced_IsToldAndLeft) {
  const std::string id = rig_.MustCreate("a");
  const std::string path = rig_.ImagePath(id);
  rig_.machine.RemovePath(path);
  rig_.machine.MakeFile(path);
  ExpectOnlyTold("replaced-image");
}

TEST_F(DoctorTest, TrashEntryWithoutItsFile_IsDropped) {
  ASSERT_TRUE(rig_.Delete(rig_.MustCreate("a")).ok());
  const std::string incarnation = catalog().ListTrash()->front().incarnation;
  rig_.machine.RemovePath("/pool/trash/" + ImageName(incarnation));
  ExpectMended("trash-without-file");
}

TEST_F(DoctorTest, HalfDoneRows_AreFinishedUnlessACallHasThem) {
  Volume volume = rig_.Row(rig_.MustCreate("a"));
  volume.state = ObjectState::kDeleting;
  ASSERT_OK(catalog().UpdateVolume(volume));
  {
    const auto guard = rig_.engine->locks().TryLock(VolumeKey(NameHash("a")));
    EXPECT_THAT(Kinds(true), IsEmpty());
  }
  ExpectMended("half-done-row");
  EXPECT_EQ(catalog().ListTrash()->size(), 1U);
}

TEST_F(DoctorTest, FrozenVolumeOnRecord_IsThawedUnlessACutIsBeingMade) {
  const std::string id = rig_.MustCreate("a");
  ASSERT_TRUE(rig_.Stage(id).ok());
  const std::string target = rig_.StagingPath(id);
  ASSERT_OK(rig_.machine.RecordFreeze(rig_.machine.MountedAt(target).value()->device));
  {
    ASSERT_OK_AND_ASSIGN(const UniqueFd root, rig_.machine.OpenMount(target));
    ASSERT_OK(rig_.machine.Freeze(root));
  }
  {
    const auto guard = rig_.engine->locks().TryLock(VolumeKey(NameHash("a")));
    EXPECT_THAT(Kinds(true), IsEmpty());
    EXPECT_EQ(rig_.machine.FrozenCount(), 1U);
  }
  ExpectMended("leaked-freeze");
  EXPECT_EQ(rig_.machine.FrozenCount(), 0U);
  EXPECT_TRUE(rig_.Unstage(id).ok());
}

TEST_F(DoctorTest, RecordOfAFreezeOfNothing_IsForgotten) {
  ASSERT_OK(rig_.machine.RecordFreeze(0x1234));
  ExpectMended("stale-freeze");
}

TEST_F(DoctorTest, StageThatWasUnmountedByHand_IsTold) {
  const std::string id = rig_.MustCreate("a");
  ASSERT_TRUE(rig_.Stage(id).ok());
  ASSERT_OK(rig_.machine.Unmount(rig_.StagingPath(id)));
  ExpectOnlyTold("lost-stage");
  EXPECT_TRUE(rig_.Unstage(id).ok());
}

TEST_F(DoctorTest, MountThatTheRecordDoesNotKnow_IsToldAndLeft) {
  const std::string id = rig_.MustCreate("a");
  ASSERT_TRUE(rig_.Stage(id).ok());
  Volume volume = rig_.Row(id);
  volume.stage.last_end = LastEnd::kClean;
  ASSERT_OK(catalog().UpdateVolume(volume));
  ExpectOnlyTold("unrecorded-mount");
  EXPECT_THAT(Examine()[0].fix, HasSubstr("umount " + rig_.StagingPath(id)));
  EXPECT_EQ(rig_.machine.MountCount(), 1U);
}

TEST_F(DoctorTest, RefusedVolume_IsToldWithItsVerdict) {
  const std::string id = rig_.MustCreate("a");
  rig_.machine.EditRootOffline(rig_.ImagePath(id), [](RootAttributes& root) { root.mode = 0777; });
  ASSERT_FALSE(rig_.Stage(id).ok());
  ExpectOnlyTold("refused-volume");
  EXPECT_THAT(Examine()[0].found, HasSubstr("found mode 0777"));
}

TEST_F(DoctorTest, AfterACrash_TheNextStartLeavesNothingToTell) {
  const std::string id = rig_.MustCreate("a");
  ASSERT_TRUE(rig_.Stage(id).ok());
  rig_.machine.Reboot();
  rig_.machine.SetBootId(NewUuid());
  rig_.Restart();
  EXPECT_THAT(Kinds(), IsEmpty());
}

}  // namespace
}  // namespace holdfast
