// Snapshots, clones, and the space they take.
#include <algorithm>
#include <set>

#include "tests/contract/engine_contract.h"
#include "volume/capacity.h"

namespace holdfast {
namespace {

TEST_P(ContentContract, CreateSnapshot_Twice_IsTheSameSnapshot) {
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(Request("one", content())));
  ASSERT_OK_AND_ASSIGN(const Snapshot first, engine().CreateSnapshot("s", volume.id));
  EXPECT_EQ(first.state, ObjectState::kReady);
  EXPECT_EQ(first.volume_id, volume.id);
  EXPECT_EQ(first.volume_incarnation, volume.incarnation);
  EXPECT_EQ(first.content, content());
  EXPECT_EQ(first.size_bytes, volume.capacity_bytes);
  EXPECT_EQ(first.filesystem_uuid, volume.filesystem_uuid);
  EXPECT_EQ(first.consistency, Consistency::kOffline);
  EXPECT_EQ(first.root, volume.stage.root);
  EXPECT_GE(first.created_unix_nanos, volume.created_unix_nanos);
  ASSERT_OK_AND_ASSIGN(const Snapshot second, engine().CreateSnapshot("s", volume.id));
  EXPECT_EQ(second.id, first.id);
  EXPECT_EQ(second.incarnation, first.incarnation);
  EXPECT_EQ(second.created_unix_nanos, first.created_unix_nanos);
}

TEST_P(EngineContract, CreateSnapshot_OfAnotherVolume_IsAlreadyExists) {
  ASSERT_OK_AND_ASSIGN(const Volume one, engine().CreateVolume(Request("one")));
  ASSERT_OK_AND_ASSIGN(const Volume two, engine().CreateVolume(Request("two")));
  ASSERT_OK(engine().CreateSnapshot("s", one.id));
  EXPECT_CODE(engine().CreateSnapshot("s", two.id), kAlreadyExists);
  EXPECT_CODE(engine().CreateSnapshot("t", "vol-nonsense"), kNotFound);
  ASSERT_OK(engine().DeleteVolume(two.id));
  EXPECT_CODE(engine().CreateSnapshot("t", two.id), kNotFound);
}

TEST_P(EngineContract, CreateSnapshot_RepeatedAfterItsVolumeWent_IsStillTheAnswer) {
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(Request("one")));
  ASSERT_OK_AND_ASSIGN(const Snapshot snapshot, engine().CreateSnapshot("s", volume.id));
  ASSERT_OK(engine().DeleteVolume(volume.id));
  ASSERT_OK_AND_ASSIGN(const Snapshot again, engine().CreateSnapshot("s", volume.id));
  EXPECT_EQ(again.incarnation, snapshot.incarnation);
  EXPECT_OK(engine().DeleteSnapshot(snapshot.id));
  EXPECT_OK(engine().DeleteSnapshot(snapshot.id));
  ASSERT_OK_AND_ASSIGN(const auto found, engine().FindSnapshot(snapshot.id));
  EXPECT_FALSE(found.has_value());
}

TEST_P(EngineContract, ListSnapshots_FiltersAndPages) {
  ASSERT_OK_AND_ASSIGN(const Volume one, engine().CreateVolume(Request("one", Content::kBlock)));
  ASSERT_OK_AND_ASSIGN(const Volume two, engine().CreateVolume(Request("two", Content::kBlock)));
  std::set<std::string> of_one;
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK_AND_ASSIGN(const Snapshot snapshot,
                         engine().CreateSnapshot("s" + std::to_string(i), one.id));
    of_one.insert(snapshot.id);
  }
  ASSERT_OK_AND_ASSIGN(const Snapshot other, engine().CreateSnapshot("other", two.id));
  ASSERT_OK_AND_ASSIGN(const auto all, engine().ListSnapshots({}, "", 0));
  EXPECT_EQ(all.size(), 4u);
  ASSERT_OK_AND_ASSIGN(const auto by_id, engine().ListSnapshots({.id = other.id}, "", 0));
  ASSERT_EQ(by_id.size(), 1u);
  EXPECT_EQ(by_id[0].id, other.id);
  ASSERT_OK_AND_ASSIGN(const auto first, engine().ListSnapshots({.volume_id = one.id}, "", 2));
  ASSERT_EQ(first.size(), 2u);
  ASSERT_OK_AND_ASSIGN(const auto rest,
                       engine().ListSnapshots({.volume_id = one.id}, first[1].id, 2));
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ((std::set<std::string>{first[0].id, first[1].id, rest[0].id}), of_one);
  for (const char* nobody : {"vol-nonsense", "", "../x"}) {
    ASSERT_OK_AND_ASSIGN(const auto none,
                         engine().ListSnapshots({.volume_id = std::string(nobody)}, "", 0));
    EXPECT_TRUE(none.empty()) << nobody;
  }
}

TEST_P(ContentContract, CreateVolume_FromASnapshot_WhoseVolumeIsGone) {
  VolumeRequest request = Request("one", content());
  request.parameters.root_mode = 0711;
  if (content() == Content::kBlock) request.parameters.root_mode.reset();
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(request));
  ASSERT_OK_AND_ASSIGN(const Snapshot snapshot, engine().CreateSnapshot("s", volume.id));
  ASSERT_OK(engine().DeleteVolume(volume.id));
  VolumeRequest restore = CloneRequest("restored", Source::Kind::kSnapshot, snapshot.id);
  restore.content = content();
  ASSERT_OK_AND_ASSIGN(const Volume restored, engine().CreateVolume(restore));
  CheckReady(restored);
  EXPECT_EQ(restored.content, content());
  EXPECT_EQ(restored.capacity_bytes, volume.capacity_bytes);
  EXPECT_EQ(restored.source, restore.source);
  if (content() != Content::kBlock) {
    EXPECT_NE(restored.filesystem_uuid, volume.filesystem_uuid);
    EXPECT_EQ(restored.stage.root->mode, 0711u);
    EXPECT_EQ(restored.stage.root->inode, volume.stage.root->inode);
  }
  ASSERT_OK_AND_ASSIGN(const Volume again, engine().CreateVolume(restore));
  EXPECT_EQ(again.incarnation, restored.incarnation);
  ASSERT_OK(engine().DeleteSnapshot(snapshot.id));
  EXPECT_OK(engine().CreateVolume(restore)) << "its source may be gone, it is there";
}

TEST_P(ContentContract, CreateVolume_FromAVolume_AndACloneOfTheClone) {
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(Request("one", content())));
  VolumeRequest request = CloneRequest("clone", Source::Kind::kVolume, volume.id);
  request.content = content();
  request.capacity.required_bytes = volume.capacity_bytes + 64 * kMiB;
  ASSERT_OK_AND_ASSIGN(const Volume clone, engine().CreateVolume(request));
  CheckReady(clone);
  EXPECT_EQ(clone.capacity_bytes, volume.capacity_bytes + 64 * kMiB);
  EXPECT_EQ(clone.filesystem_bytes, content() == Content::kBlock ? 0 : clone.capacity_bytes);
  ASSERT_OK(engine().DeleteVolume(volume.id));
  request = CloneRequest("second", Source::Kind::kVolume, clone.id);
  request.content = content();
  ASSERT_OK_AND_ASSIGN(const Volume second, engine().CreateVolume(request));
  CheckReady(second);
  EXPECT_EQ(second.capacity_bytes, clone.capacity_bytes);
  ASSERT_OK(engine().DeleteVolume(clone.id));
  EXPECT_OK(engine().CreateSnapshot("s", second.id));
}

TEST_P(EngineContract, CreateVolume_FromNothing_IsNotFound) {
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(Request("one")));
  ASSERT_OK_AND_ASSIGN(const Snapshot snapshot, engine().CreateSnapshot("s", volume.id));
  const auto clone = [&](Source::Kind kind, const std::string& id) {
    return engine().CreateVolume(CloneRequest("clone", kind, id));
  };
  EXPECT_CODE(clone(Source::Kind::kSnapshot, "snap-nonsense"), kNotFound);
  EXPECT_CODE(clone(Source::Kind::kVolume, ""), kNotFound);
  EXPECT_CODE(clone(Source::Kind::kSnapshot, volume.id), kNotFound);
  EXPECT_CODE(clone(Source::Kind::kVolume, snapshot.id), kNotFound);
  ASSERT_OK_AND_ASSIGN(const auto found, engine().ListVolumes("", 0));
  EXPECT_EQ(found.size(), 1u);
}

// It was ABORTED for ever, since the call met its own lock.
TEST_P(EngineContract, CreateVolume_FromItself_IsNotFound) {
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(Request("one")));
  ASSERT_OK(engine().DeleteVolume(volume.id));
  EXPECT_CODE(engine().CreateVolume(CloneRequest("one", Source::Kind::kVolume, volume.id)),
              kNotFound);
}

TEST_P(EngineContract, CreateVolume_FromASource_ThatDoesNotFit_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const Volume volume,
                       engine().CreateVolume(Request("one", Content::kExt4, 64 * kMiB)));
  VolumeRequest request = CloneRequest("clone", Source::Kind::kVolume, volume.id);
  request.capacity = {32 * kMiB, 0};
  EXPECT_CODE(engine().CreateVolume(request), kOutOfRange);
  request.capacity = {0, 32 * kMiB};
  EXPECT_CODE(engine().CreateVolume(request), kOutOfRange);
  request.capacity = {};
  request.content = Content::kXfs;
  EXPECT_CODE(engine().CreateVolume(request), kInvalidArgument);
  request.content = Content::kBlock;
  EXPECT_CODE(engine().CreateVolume(request), kInvalidArgument);
  request.content = std::nullopt;
  ASSERT_OK_AND_ASSIGN(const Volume clone, engine().CreateVolume(request));
  EXPECT_EQ(clone.content, Content::kExt4) << "the source's";
}

TEST_P(EngineContract, GetCapacity_WhatItSaysCanBeCreated_CanBe) {
  EXPECT_CODE(engine().GetCapacity({.pool = "elsewhere"}, std::nullopt), kInvalidArgument);
  for (const Provisioning provisioning : {Provisioning::kThick, Provisioning::kThin}) {
    SCOPED_TRACE(provisioning == Provisioning::kThick ? "thick" : "thin");
    const ClassParameters parameters{.provisioning = provisioning};
    SettledFreeBytes();  // until then the answer is smaller than what a create will find
    ASSERT_OK_AND_ASSIGN(const CapacityAnswer answer,
                         engine().GetCapacity(parameters, Content::kExt4));
    EXPECT_EQ(answer.minimum_volume_bytes, MinimumCapacityBytes(Content::kExt4));
    EXPECT_GT(answer.maximum_volume_bytes, kGiB);
    EXPECT_GE(answer.available_bytes, answer.maximum_volume_bytes);
    VolumeRequest request = Request("one", Content::kExt4, answer.maximum_volume_bytes / 20 * 21);
    request.parameters = parameters;
    EXPECT_CODE(engine().CreateVolume(request), kResourceExhausted) << "five percent more";
    request.capacity.required_bytes = answer.maximum_volume_bytes;
    ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(request));
    CheckInvariant();
    request.name = "two";
    EXPECT_CODE(engine().CreateVolume(request), kResourceExhausted);
    ASSERT_OK_AND_ASSIGN(const auto all, engine().ListVolumes("", 0));
    EXPECT_EQ(all.size(), 1u) << "of a refused volume nothing is left";
    EXPECT_EQ(under_test().Leftovers(), std::vector<std::string>());
    ASSERT_OK(engine().DeleteVolume(volume.id));
    request.name = "three";
    // What a delete gave back can be used at once, but for what the catalog grew by meanwhile.
    request.capacity.required_bytes -= 4 * kMiB;
    ASSERT_OK_AND_ASSIGN(const Volume next, engine().CreateVolume(request));
    ASSERT_OK(engine().DeleteVolume(next.id));
  }
}

TEST_P(OvercommitContract, AThinVolumeWithoutReserve_OwesNothing) {
  VolumeRequest request = Request("one", Content::kBlock, 16 * kGiB);
  request.parameters.provisioning = Provisioning::kThin;
  request.parameters.reserve_percent = 0;
  request.parameters.accepts_lost_writes = true;
  const PoolSpace before = pool().space;
  // A volume's share of metadata is kept whatever its reserve.
  const uint64_t room = std::min(before.free_bytes, before.metadata_free_bytes);
  if (before.floor_bytes + 16 * kGiB / 8 > room) request.capacity = {kGiB, 0};
  ASSERT_OK(engine().CreateVolume(request));
  EXPECT_EQ(pool().space.owed_bytes, before.owed_bytes);
  request.name = "two";
  request.parameters.reserve_percent = 50;
  request.capacity = {kGiB, 0};
  ASSERT_OK(engine().CreateVolume(request));
  EXPECT_EQ(pool().space.owed_bytes, before.owed_bytes + kGiB / 2);
}

TEST_P(OvercommitContract, ThinVolumesWithoutReserve_MayPromiseMoreThanThePoolCouldOwe) {
  const ClassParameters full{.provisioning = Provisioning::kThin};
  ASSERT_OK_AND_ASSIGN(const auto before, engine().GetCapacity(full, Content::kExt4));
  const uint64_t free_bytes = pool().space.free_bytes;
  const uint64_t part = free_bytes / 100 * 32 / kMiB * kMiB;
  ASSERT_LT(before.available_bytes, 3 * part);
  VolumeRequest request = Request("volume", Content::kExt4, part);
  request.parameters.provisioning = Provisioning::kThin;
  request.parameters.reserve_percent = 0;
  for (int i = 0; i < 3; ++i) {
    request.name = "volume" + std::to_string(i);
    ASSERT_OK(engine().CreateVolume(request));
  }
  ASSERT_OK_AND_ASSIGN(const auto snapshot,
                       engine().CreateSnapshot("s", engine().ListVolumes("", 0)->front().id));
  EXPECT_TRUE(pool().overcommit);
  EXPECT_LT(pool().space.owed_bytes, 64 * kMiB);
  // What a full reserve asks for is still kept.
  request.name = "full";
  request.parameters.reserve_percent = 100;
  request.capacity = {free_bytes / kMiB * kMiB, 0};
  EXPECT_CODE(engine().CreateVolume(request), kResourceExhausted);
}

TEST_P(OvercommitContract, GetCapacity_OfAClassWithoutReserve_CanBeCreated) {
  for (const uint32_t percent : {0u, 30u, 100u}) {
    ClassParameters parameters{.provisioning = Provisioning::kThin, .reserve_percent = percent};
    ASSERT_OK_AND_ASSIGN(const auto answer, engine().GetCapacity(parameters, Content::kExt4));
    ASSERT_GT(answer.maximum_volume_bytes, kGiB) << percent;
    VolumeRequest request = Request("one", Content::kExt4, answer.maximum_volume_bytes);
    request.parameters = parameters;
    ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(request));
    ASSERT_OK(engine().DeleteVolume(volume.id));
  }
}

TEST_P(OvercommitContract, WhatCannotBeStopped_IsRefused) {
  VolumeRequest request = Request("one", Content::kBtrfs);
  request.parameters.provisioning = Provisioning::kThin;
  request.parameters.reserve_percent = 50;
  EXPECT_CODE(engine().CreateVolume(request), kFailedPrecondition);
  request = Request("one", Content::kBlock, 64 * kMiB);
  request.parameters.reserve_percent = 50;
  EXPECT_CODE(engine().CreateVolume(request), kFailedPrecondition);
  request.parameters.accepts_lost_writes = true;
  EXPECT_OK(engine().CreateVolume(request));
}

TEST_P(EngineContract, AReserveBelow100_IsRefusedInAPoolThatIsNotOvercommitted) {
  VolumeRequest request = Request("one");
  request.parameters.reserve_percent = 99;
  EXPECT_CODE(engine().CreateVolume(request), kFailedPrecondition);
  ASSERT_OK_AND_ASSIGN(const auto answer, engine().GetCapacity(request.parameters, std::nullopt));
  EXPECT_EQ(answer.maximum_volume_bytes, 0u);
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(Request("source")));
  VolumeRequest clone = CloneRequest("clone", Source::Kind::kVolume, volume.id);
  clone.parameters.reserve_percent = 0;
  EXPECT_CODE(engine().CreateVolume(clone), kFailedPrecondition);
  EXPECT_EQ(engine().ListVolumes("", 0)->size(), 1u);
}

TEST_P(ImageContentContract, AThickVolume_StaysThick_AfterSnapshotAndClone) {
  Host* const host = under_test().host();
  ASSERT_NE(host, nullptr);
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(Request("one", content())));
  ASSERT_OK_AND_ASSIGN(const Snapshot snapshot, engine().CreateSnapshot("s", volume.id));
  VolumeRequest request = CloneRequest("restored", Source::Kind::kSnapshot, snapshot.id);
  request.content = content();
  ASSERT_OK(engine().CreateVolume(request));
  request = CloneRequest("clone", Source::Kind::kVolume, volume.id);
  request.content = content();
  ASSERT_OK(engine().CreateVolume(request));
  ASSERT_OK(engine().ExpandVolume(volume.id, {volume.capacity_bytes + 32 * kMiB, 0}));
  ASSERT_OK_AND_ASSIGN(const UniqueFd folder,
                       host->OpenFolder(under_test().pool_path() + "/volumes"));
  ASSERT_OK_AND_ASSIGN(const auto names, host->ListFolder(folder));
  ASSERT_EQ(names.size(), 3u);
  for (const std::string& name : names) {
    ASSERT_OK_AND_ASSIGN(const auto image, host->OpenFile(folder, name, Access::kReadOnly));
    ASSERT_OK_AND_ASSIGN(const FileFacts facts, host->Describe(*image));
    EXPECT_GE(facts.allocated_bytes, facts.size_bytes) << name;
  }
}

TEST_P(EngineContract, Pools_SaysWhatIsInIt) {
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(Request("one")));
  ASSERT_OK(engine().CreateSnapshot("s", volume.id));
  ASSERT_EQ(engine().Pools().size(), 1u);
  const PoolStatus status = pool();
  EXPECT_EQ(status.name, "pool");
  EXPECT_EQ(status.filesystem, GetParam().machine.pool_filesystem);
  EXPECT_EQ(status.refusal, "");
  EXPECT_EQ(status.volumes, 1u);
  EXPECT_EQ(status.snapshots, 1u);
  EXPECT_GT(status.space.size_bytes, 3 * kGiB);
  EXPECT_GT(status.space.floor_bytes, 0u);
  EXPECT_EQ(status.uuid.size(), 36u);
}

}  // namespace
}  // namespace holdfast
