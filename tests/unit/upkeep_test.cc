// The administrator's verbs on the whole driver over the simulated machine: trash, orphans, growth.
#include "engine/image/upkeep/image_upkeep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sizes.h"
#include "base/uuid.h"
#include "engine/image/upkeep/drain_order.h"
#include "tests/fakes/status_asserts.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Upkeep : public testing::Test {
 protected:
  Upkeep() : rig_({.trash_grace = std::chrono::hours(24)}) {}

  Pool& pool() { return *rig_.engine->pools().front(); }
  Catalog& catalog() { return *pool().catalog; }
  ImageUpkeep& upkeep() { return *rig_.upkeep; }

  TrashEntry OnlyEntry() {
    const auto entries = catalog().ListTrash();
    EXPECT_TRUE(entries.ok() && entries->size() == 1);
    return entries.ok() && !entries->empty() ? entries->front() : TrashEntry{};
  }
  // A volume whose row was lost: its image stays, and nobody claims it.
  Volume MakeOrphan(const std::string& name, const std::string& fs_type = "ext4") {
    const Volume volume = rig_.Row(rig_.MustCreate(name, fs_type));
    EXPECT_OK(catalog().RemoveVolume(volume.id));
    return volume;
  }
  std::string FileOf(const Volume& volume) { return ImageName(volume.incarnation); }
  AdoptRequest AdoptOf(const Volume& volume, const std::string& name) {
    return {.folder = "volumes", .file = FileOf(volume), .name = name};
  }
  void Move(const UniqueFd& from, const std::string& old, const UniqueFd& to,
            const std::string& name) {
    ASSERT_OK(rig_.machine.Rename(from, old, to, name));
  }

  Rig rig_;
};

TEST_F(Upkeep, RestoreOfAVolume_GivesBackItsIdItsImageAndItsRecord) {
  const std::string id = rig_.MustCreate("a");
  ASSERT_TRUE(rig_.Stage(id).ok());
  ASSERT_TRUE(rig_.Unstage(id).ok());
  const Volume before = rig_.Row(id);
  ASSERT_TRUE(rig_.Delete(id).ok());
  ASSERT_OK_AND_ASSIGN(const TrashEntry entry, upkeep().RestoreTrash(OnlyEntry().incarnation));
  EXPECT_EQ(entry.id, id);
  const Volume after = rig_.Row(id);
  EXPECT_EQ(after.incarnation, before.incarnation);
  EXPECT_EQ(after.image_inode, before.image_inode);
  EXPECT_EQ(after.filesystem_uuid, before.filesystem_uuid);
  EXPECT_EQ(after.stage.root, before.stage.root);
  EXPECT_EQ(after.stage.last_end, LastEnd::kClean);
  EXPECT_THAT(rig_.machine.FilesIn("/pool/trash"), IsEmpty());
  EXPECT_THAT(*catalog().ListTrash(), IsEmpty());
  EXPECT_TRUE(rig_.Stage(id).ok());
  EXPECT_TRUE(rig_.Unstage(id).ok());
}

TEST_F(Upkeep, RestoredVolumeThatWasChangedInTheTrash_IsRefusedByItsStage) {
  const std::string id = rig_.MustCreate("a");
  const std::string file = ImageName(rig_.Row(id).incarnation);
  ASSERT_TRUE(rig_.Delete(id).ok());
  rig_.machine.EditRootOffline("/pool/trash/" + file,
                               [](RootAttributes& root) { root.mode = 0777; });
  ASSERT_OK(upkeep().RestoreTrash(OnlyEntry().incarnation));
  const grpc::Status staged = rig_.Stage(id);
  EXPECT_EQ(staged.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(staged.error_message(), HasSubstr("found mode 0777"));
}

TEST_F(Upkeep, RestoreOfASnapshot_CanBeClonedAgain) {
  const std::string id = rig_.MustCreate("a");
  csi::v1::Snapshot cut;
  ASSERT_TRUE(rig_.Snapshot("s", id, &cut).ok());
  ASSERT_OK(rig_.engine->DeleteSnapshot(cut.snapshot_id()));
  ASSERT_OK(upkeep().RestoreTrash(OnlyEntry().incarnation));
  auto request = rig_.CreateRequest("b");
  request.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id(cut.snapshot_id());
  EXPECT_TRUE(rig_.Create(request, nullptr).ok());
}

TEST_F(Upkeep, RestoreTwice_IsOneRestore) {
  ASSERT_TRUE(rig_.Delete(rig_.MustCreate("a")).ok());
  const std::string incarnation = OnlyEntry().incarnation;
  ASSERT_OK(upkeep().RestoreTrash(incarnation));
  ASSERT_OK_AND_ASSIGN(const TrashEntry again, upkeep().RestoreTrash(incarnation));
  EXPECT_EQ(again.incarnation, incarnation);
}

TEST_F(Upkeep, RestoreUnderAnIdThatWasMadeAnew_IsAlreadyExistsAndStaysInTheTrash) {
  ASSERT_TRUE(rig_.Delete(rig_.MustCreate("a")).ok());
  const std::string id = rig_.MustCreate("a");
  const Volume anew = rig_.Row(id);
  EXPECT_CODE(upkeep().RestoreTrash(OnlyEntry().incarnation), kAlreadyExists);
  EXPECT_EQ(rig_.Row(id).incarnation, anew.incarnation);
  EXPECT_THAT(rig_.machine.FilesIn("/pool/trash"), testing::SizeIs(1));
}

TEST_F(Upkeep, RestoreOfWhatIsNot_IsNotFound) {
  EXPECT_CODE(upkeep().RestoreTrash(NewUuid()), kNotFound);
}

TEST_F(Upkeep, RestoreWithoutItsFile_IsDataLossAndPromisesNothing) {
  const std::string id = rig_.MustCreate("a");
  ASSERT_TRUE(rig_.Delete(id).ok());
  const TrashEntry entry = OnlyEntry();
  rig_.machine.RemovePath("/pool/trash/" + ImageName(entry.incarnation));
  EXPECT_CODE(upkeep().RestoreTrash(entry.incarnation), kDataLoss);
  EXPECT_CODE(rig_.engine->FindLocal(id), kNotFound);
}

TEST_F(Upkeep, RestoreOfWhatThePoolCannotOwe_IsResourceExhaustedAndPurgesNothing) {
  auto request = rig_.CreateRequest("thin");
  (*request.mutable_parameters())["provisioning"] = "thin";
  request.mutable_capacity_range()->set_required_bytes(4 * kGiB);
  csi::v1::Volume thin;
  ASSERT_TRUE(rig_.Create(request, &thin).ok());
  ASSERT_TRUE(rig_.Delete(thin.volume_id()).ok());
  const std::string incarnation = OnlyEntry().incarnation;
  auto other = rig_.CreateRequest("thick");
  other.mutable_capacity_range()->set_required_bytes(6 * kGiB);
  ASSERT_TRUE(rig_.Create(other, nullptr).ok());
  EXPECT_CODE(upkeep().RestoreTrash(incarnation), kResourceExhausted);
  EXPECT_EQ(OnlyEntry().incarnation, incarnation);
}

TEST_F(Upkeep, RestoreWhileAnotherCallHasTheVolume_IsAborted) {
  ASSERT_TRUE(rig_.Delete(rig_.MustCreate("a")).ok());
  const TrashEntry entry = OnlyEntry();
  const auto guard = rig_.engine->locks().TryLock(VolumeKey(NameHash("a")));
  EXPECT_CODE(upkeep().RestoreTrash(entry.incarnation), kAborted);
  EXPECT_CODE(upkeep().PurgeTrash(entry.incarnation), kAborted);
}

TEST_F(Upkeep, Purge_RemovesTheFileTheEntryAndTheRowThatWasKept) {
  ASSERT_TRUE(rig_.Delete(rig_.MustCreate("a")).ok());
  const std::string incarnation = OnlyEntry().incarnation;
  ASSERT_OK_AND_ASSIGN(const bool purged, upkeep().PurgeTrash(incarnation));
  EXPECT_TRUE(purged);
  EXPECT_THAT(rig_.machine.FilesIn("/pool/trash"), IsEmpty());
  EXPECT_FALSE(catalog().FindTrashedVolume(incarnation)->has_value());
  ASSERT_OK_AND_ASSIGN(const bool again, upkeep().PurgeTrash(incarnation));
  EXPECT_FALSE(again);
}

TEST_F(Upkeep, Orphans_AreFilesThatNobodyClaims) {
  rig_.MustCreate("kept");
  ASSERT_TRUE(rig_.Delete(rig_.MustCreate("deleted")).ok());
  ASSERT_OK_AND_ASSIGN(const auto none, ListOrphans(pool()));
  EXPECT_THAT(none, IsEmpty());
  const Volume lost = MakeOrphan("lost", "xfs");
  rig_.machine.MakeFile("/pool/snapshots/notes.txt");
  ASSERT_OK_AND_ASSIGN(const auto orphans, ListOrphans(pool()));
  ASSERT_EQ(orphans.size(), 2U);
  EXPECT_EQ(orphans[0].Path(), "volumes/" + FileOf(lost));
  EXPECT_EQ(orphans[0].content, "xfs");
  EXPECT_EQ(orphans[0].filesystem_uuid, lost.filesystem_uuid);
  EXPECT_EQ(orphans[0].hindrance, "");
  EXPECT_EQ(orphans[1].Path(), "snapshots/notes.txt");
  EXPECT_NE(orphans[1].hindrance, "");
}

TEST_F(Upkeep, Adopt_MakesAVolumeWhoseRootIsItsRecord) {
  const Volume lost = MakeOrphan("lost");
  ASSERT_OK_AND_ASSIGN(const Volume adopted, upkeep().Adopt("default", AdoptOf(lost, "found")));
  EXPECT_EQ(adopted.id, MakeId(ObjectKind::kVolume, pool().uuid(), "found"));
  EXPECT_EQ(adopted.content, Content::kExt4);
  EXPECT_EQ(adopted.filesystem_uuid, lost.filesystem_uuid);
  EXPECT_EQ(adopted.capacity_bytes, lost.capacity_bytes);
  EXPECT_EQ(adopted.image_inode, lost.image_inode);
  EXPECT_EQ(adopted.stage.root, lost.stage.root);
  EXPECT_THAT(rig_.machine.FilesIn("/pool/work"), IsEmpty());
  EXPECT_THAT(*ListOrphans(pool()), IsEmpty());
  EXPECT_TRUE(rig_.Stage(adopted.id).ok());
  EXPECT_TRUE(rig_.Publish(adopted.id).ok());
  // The same again is the same; another file under the name is not.
  ASSERT_OK_AND_ASSIGN(const Volume again, upkeep().Adopt("default", AdoptOf(lost, "found")));
  EXPECT_EQ(again.incarnation, adopted.incarnation);
  EXPECT_CODE(upkeep().Adopt("default", AdoptOf(MakeOrphan("other"), "found")), kAlreadyExists);
}

TEST_F(Upkeep, AdoptFromAnotherFolder_RenamesTheFile) {
  const Volume lost = MakeOrphan("lost");
  Move(pool().volumes, FileOf(lost), pool().trash, "backup of monday");
  ASSERT_OK_AND_ASSIGN(
      const Volume adopted,
      upkeep().Adopt(
          pool().uuid(),
          {.folder = "trash", .file = "backup of monday", .name = "found", .thick = true}));
  EXPECT_THAT(rig_.machine.FilesIn("/pool/volumes"), ElementsAre(FileOf(adopted)));
  EXPECT_THAT(rig_.machine.FilesIn("/pool/trash"), IsEmpty());
  EXPECT_EQ(adopted.parameters.provisioning, Provisioning::kThick);
  EXPECT_TRUE(rig_.Stage(adopted.id).ok());
}

TEST_F(Upkeep, AdoptWithADirtyLog_ReplaysItOnACloneOnly) {
  const std::string id = rig_.MustCreate("lost", "xfs");
  ASSERT_TRUE(rig_.Stage(id, "xfs").ok());
  const Volume lost = rig_.Row(id);
  rig_.machine.Reboot();
  rig_.Restart();
  ASSERT_OK(catalog().RemoveVolume(id));
  ASSERT_OK_AND_ASSIGN(const Volume adopted, upkeep().Adopt("default", AdoptOf(lost, "found")));
  ASSERT_OK_AND_ASSIGN(const auto image,
                       rig_.machine.OpenFile(pool().volumes, FileOf(adopted), Access::kReadOnly));
  ASSERT_OK_AND_ASSIGN(const auto superblock, rig_.machine.Identify(*image));
  EXPECT_TRUE(superblock->needs_recovery) << "the original was written";
}

TEST_F(Upkeep, Adopt_NeverTakesWhatARowOrTheTrashHas) {
  const Volume live = rig_.Row(rig_.MustCreate("live"));
  EXPECT_CODE(upkeep().Adopt("default", AdoptOf(live, "stolen")), kFailedPrecondition);
  // Under another name it is still the image of its row.
  Move(pool().volumes, FileOf(live), pool().snapshots, "renamed.img");
  EXPECT_CODE(
      upkeep().Adopt("default", {.folder = "snapshots", .file = "renamed.img", .name = "stolen"}),
      kFailedPrecondition);
  Move(pool().snapshots, "renamed.img", pool().volumes, FileOf(live));
  const Volume deleted = rig_.Row(rig_.MustCreate("deleted"));
  ASSERT_TRUE(rig_.Delete(deleted.id).ok());
  EXPECT_CODE(
      upkeep().Adopt("default", {.folder = "trash", .file = FileOf(deleted), .name = "stolen"}),
      kFailedPrecondition);
  Move(pool().trash, FileOf(deleted), pool().volumes, "renamed.img");
  EXPECT_CODE(
      upkeep().Adopt("default", {.folder = "volumes", .file = "renamed.img", .name = "stolen"}),
      kFailedPrecondition);
  EXPECT_EQ(catalog().AllVolumes()->size(), 1U);
}

TEST_F(Upkeep, AdoptOfACopyWithTheFilesystemOfALiveVolume_IsRefused) {
  const Volume live = rig_.Row(rig_.MustCreate("live"));
  ASSERT_OK_AND_ASSIGN(const auto image,
                       rig_.machine.OpenFile(pool().volumes, FileOf(live), Access::kReadOnly));
  {
    ASSERT_OK_AND_ASSIGN(const UniqueFd copy, rig_.machine.CreateFile(pool().volumes, "copy"));
    ASSERT_OK(rig_.machine.Clone(*image, copy));
  }
  const auto refused =
      upkeep().Adopt("default", {.folder = "volumes", .file = "copy", .name = "twin"});
  EXPECT_CODE(refused, kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr(live.id));
}

TEST_F(Upkeep, AdoptOfWhatIsInUse_IsRefused) {
  const Volume lost = MakeOrphan("lost");
  const std::string path = "/pool/volumes/" + FileOf(lost);
  const Loop loop = rig_.machine.AttachForeign(path);
  EXPECT_CODE(upkeep().Adopt("default", AdoptOf(lost, "found")), kFailedPrecondition);
  rig_.machine.DetachForeign(loop.number);
  rig_.machine.OpenImageAs(path, "cp (pid 7)");
  EXPECT_CODE(upkeep().Adopt("default", AdoptOf(lost, "found")), kFailedPrecondition);
  rig_.machine.CloseImageAs(path);
  EXPECT_OK(upkeep().Adopt("default", AdoptOf(lost, "found")));
}

TEST_F(Upkeep, AdoptOfADamagedFilesystem_IsDataLossAndLeavesTheFile) {
  const Volume lost = MakeOrphan("lost");
  rig_.machine.EditSuperblock("/pool/volumes/" + FileOf(lost),
                              [](FakeSuperblock& superblock) { superblock.damaged = true; });
  EXPECT_FALSE(upkeep().Adopt("default", AdoptOf(lost, "found")).ok());
  EXPECT_THAT(rig_.machine.FilesIn("/pool/volumes"), ElementsAre(FileOf(lost)));
  EXPECT_THAT(rig_.machine.FilesIn("/pool/work"), IsEmpty());
}

TEST_F(Upkeep, AdoptOfRawBytes_WantsToBeToldThatTheyAreABlockDevice) {
  const Volume lost = MakeOrphan("lost", "block");
  AdoptRequest request = AdoptOf(lost, "found");
  EXPECT_CODE(upkeep().Adopt("default", request), kFailedPrecondition);
  request.raw_block = true;
  ASSERT_OK_AND_ASSIGN(const Volume adopted, upkeep().Adopt("default", request));
  EXPECT_EQ(adopted.content, Content::kBlock);
  EXPECT_TRUE(rig_.Stage(adopted.id, "block").ok());
}

TEST_F(Upkeep, AdoptWhileAnotherAdoptionOrDoctorRuns_IsAborted) {
  const Volume lost = MakeOrphan("lost");
  const auto guard = rig_.engine->locks().TryLock("orphans");
  EXPECT_CODE(upkeep().Adopt("default", AdoptOf(lost, "found")), kAborted);
  EXPECT_CODE(upkeep().Examine(false), kAborted);
}

TEST_F(Upkeep, GrowPool_TellsTheNewNumbersAndIsRepeatable) {
  rig_.MustCreate("a");
  rig_.machine.EnlargePoolDisk("/pool", 12 * kGiB);
  ASSERT_OK_AND_ASSIGN(const ImageUpkeep::Growth growth, upkeep().GrowPool("default"));
  EXPECT_EQ(growth.before.space.size_bytes, 8 * kGiB);
  EXPECT_EQ(growth.after.space.size_bytes, 12 * kGiB);
  EXPECT_EQ(growth.after.space.free_bytes, growth.before.space.free_bytes + 4 * kGiB);
  ASSERT_OK_AND_ASSIGN(const ImageUpkeep::Growth again, upkeep().GrowPool(pool().uuid()));
  EXPECT_EQ(again.before.space.size_bytes, again.after.space.size_bytes);
  EXPECT_CODE(upkeep().GrowPool("none"), kNotFound);
}

TEST_F(Upkeep, DrainOrder_IsTargetsThenStagesThenLoopsThenThePool) {
  const std::string a = rig_.MustCreate("a"), b = rig_.MustCreate("b", "block");
  ASSERT_TRUE(rig_.Stage(a).ok() && rig_.Publish(a, "one").ok());
  ASSERT_TRUE(rig_.Stage(b, "block").ok() && rig_.Publish(b, "three", "block").ok());
  ASSERT_OK_AND_ASSIGN(const DrainOrder order, PlanDrain(pool()));
  std::vector<std::string> targets, stages, commands;
  for (const DrainStep& step : order.targets) targets.push_back(step.object);
  for (const DrainStep& step : order.stages) stages.push_back(step.object);
  EXPECT_THAT(targets,
              testing::UnorderedElementsAre(rig_.TargetPath("one"), rig_.TargetPath("three")));
  EXPECT_THAT(stages, ElementsAre(rig_.StagingPath(a)));
  ASSERT_EQ(order.loops.size(), 2U);
  for (const DrainStep& step : order.loops) commands.push_back(step.command);
  EXPECT_THAT(commands, testing::UnorderedElementsAre("", HasSubstr("losetup --detach /dev/loop")));
  ASSERT_EQ(order.pool.size(), 1U);
  EXPECT_EQ(order.pool[0].command, "umount /pool");
}

TEST(ShellWord, QuotesWhatAShellWouldTakeApart) {
  EXPECT_EQ(ShellWord("/var/lib/kubelet/pods/a-b_c.d"), "/var/lib/kubelet/pods/a-b_c.d");
  EXPECT_EQ(ShellWord("/a b"), "'/a b'");
  EXPECT_EQ(ShellWord("$(x)'y"), "'$(x)'\\''y'");
  EXPECT_EQ(ShellWord(""), "''");
}

// A request that could never fit must not cost anybody what he may still want back.
TEST(Trash, OutlivesARequestThatCanNeverFit) {
  Rig rig({.trash_grace = std::chrono::hours(24)});
  for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(rig.Delete(rig.MustCreate(name)).ok());
  csi::v1::CreateVolumeRequest huge = rig.CreateRequest("huge", "block");
  huge.mutable_capacity_range()->set_required_bytes(int64_t{1} << 40);
  EXPECT_EQ(rig.Create(huge, nullptr).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(rig.engine->Pools().front().trash_entries, 3u);
  const std::string id = rig.MustCreate("d", "block");
  EXPECT_FALSE(rig.Expand(id, uint64_t{1} << 40).ok());
  EXPECT_EQ(rig.engine->Pools().front().trash_entries, 3u);
}

}  // namespace
}  // namespace holdfast
