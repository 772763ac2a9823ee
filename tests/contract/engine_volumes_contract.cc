// Volumes: created, found, grown, deleted.
#include <set>
#include <thread>

#include "tests/contract/engine_contract.h"
#include "volume/capacity.h"

namespace holdfast {
namespace {

const std::vector<std::string>& GarbageIds() {
  static const std::vector<std::string> ids = {
      "",
      "x",
      "../../etc/passwd",
      "vol-../..",
      "/",
      std::string("vol-\0x", 6),
      std::string(129, 'v'),
      "vol-" + std::string(32, 'a') + "-" + std::string(32, 'b'),
      "snap-" + std::string(32, 'a') + "-" + std::string(32, 'b')};
  return ids;
}

TEST_P(ContentContract, CreateVolume_Twice_IsTheSameVolume) {
  VolumeRequest request = Request("one", content());
  request.labels = {{"csi.storage.k8s.io/pvc/name", "data"}};
  ASSERT_OK_AND_ASSIGN(const Volume first, engine().CreateVolume(request));
  CheckReady(first);
  EXPECT_EQ(first.name, "one");
  EXPECT_EQ(first.content, content());
  EXPECT_EQ(first.capacity_bytes, request.capacity.required_bytes);
  EXPECT_EQ(first.filesystem_bytes, content() == Content::kBlock ? 0 : first.capacity_bytes);
  EXPECT_EQ(first.labels, request.labels);
  ASSERT_OK_AND_ASSIGN(const Volume second, engine().CreateVolume(request));
  EXPECT_EQ(second.id, first.id);
  EXPECT_EQ(second.incarnation, first.incarnation);
  ASSERT_OK_AND_ASSIGN(const auto found, engine().FindVolume(first.id));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->incarnation, first.incarnation);
  EXPECT_EQ(found->labels, request.labels);
}

TEST_P(FilesystemContentContract, CreateVolume_SetsTheRootOfTheClass) {
  VolumeRequest request = Request("one", content());
  request.parameters.root_mode = 02770;
  request.parameters.root_owner = Owner{999, 998};
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(request));
  ASSERT_TRUE(volume.stage.root.has_value());
  EXPECT_EQ(volume.stage.root->mode, 02770u);
  EXPECT_EQ(volume.stage.root->owner, 999u);
  EXPECT_EQ(volume.stage.root->group, 998u);
}

TEST_P(EngineContract, CreateVolume_SameNameOtherProperty_IsAlreadyExists) {
  VolumeRequest request = Request("one", Content::kExt4, 64 * kMiB);
  request.capacity.limit_bytes = 128 * kMiB;
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(request));
  const auto with = [&](auto change) {
    VolumeRequest other = request;
    change(other);
    return engine().CreateVolume(other);
  };
  EXPECT_CODE(with([](auto& r) { r.capacity = {128 * kMiB, 0}; }), kAlreadyExists);
  EXPECT_CODE(with([](auto& r) { r.capacity = {0, 32 * kMiB}; }), kAlreadyExists);
  EXPECT_CODE(with([](auto& r) { r.content = Content::kBlock; }), kAlreadyExists);
  EXPECT_CODE(with([](auto& r) { r.content = Content::kXfs; }), kAlreadyExists);
  EXPECT_CODE(with([](auto& r) { r.parameters.provisioning = Provisioning::kThin; }),
              kAlreadyExists);
  EXPECT_CODE(with([](auto& r) { r.parameters.root_mode = 0700; }), kAlreadyExists);
  EXPECT_CODE(with([&](auto& r) {
                r.source = {Source::Kind::kVolume, volume.id};
              }),
              kAlreadyExists);
  // What the same volume satisfies is the same volume.
  EXPECT_OK(with([](auto& r) { r.capacity = {10 * kMiB, 0}; }));
  EXPECT_OK(with([](auto& r) { r.content = std::nullopt; }));
  ASSERT_OK_AND_ASSIGN(const auto all, engine().ListVolumes("", 0));
  EXPECT_EQ(all.size(), 1u);
}

TEST_P(EngineContract, CreateVolume_SizesNoVolumeCanHave_AreOutOfRange) {
  const auto create = [&](uint64_t required, uint64_t limit) {
    VolumeRequest request = Request("one");
    request.capacity = {required, limit};
    return engine().CreateVolume(request);
  };
  EXPECT_CODE(create(0, kMiB), kOutOfRange);
  EXPECT_CODE(create(64 * kMiB, 63 * kMiB), kOutOfRange);
  EXPECT_CODE(create(64 * kMiB + 1, 64 * kMiB + 2), kOutOfRange);
  EXPECT_CODE(create(kMaximumCapacityBytes + 1, 0), kOutOfRange);
  EXPECT_CODE(create(UINT64_MAX, 0), kOutOfRange);
  ASSERT_OK_AND_ASSIGN(const Volume rounded, create(64 * kMiB + 1, 0));
  EXPECT_EQ(rounded.capacity_bytes, 64 * kMiB + kBlockBytes);
}

TEST_P(EngineContract, CreateVolume_WithoutSizeOrContent_IsTheDefault) {
  VolumeRequest request;
  request.name = "one";
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(request));
  EXPECT_EQ(volume.capacity_bytes, kDefaultCapacityBytes);
  EXPECT_EQ(volume.content, Content::kExt4);
}

TEST_P(EngineContract, CreateVolume_InAnUnknownPool_IsInvalid) {
  VolumeRequest request = Request("one");
  request.parameters.pool = "elsewhere";
  EXPECT_CODE(engine().CreateVolume(request), kInvalidArgument);
  request.parameters.pool = "pool";
  EXPECT_OK(engine().CreateVolume(request));
}

TEST_P(EngineContract, CreateVolume_ANameUsedAgain_IsAnotherIncarnation) {
  ASSERT_OK_AND_ASSIGN(const Volume first, engine().CreateVolume(Request("one")));
  ASSERT_OK(engine().DeleteVolume(first.id));
  ASSERT_OK_AND_ASSIGN(const Volume second, engine().CreateVolume(Request("one")));
  EXPECT_EQ(second.id, first.id);
  EXPECT_NE(second.incarnation, first.incarnation);
}

TEST_P(EngineContract, DeleteVolume_OfGarbage_IsOk) {
  ASSERT_OK_AND_ASSIGN(const Volume kept, engine().CreateVolume(Request("kept")));
  ASSERT_OK_AND_ASSIGN(const Snapshot snapshot, engine().CreateSnapshot("s", kept.id));
  for (const std::string& id : GarbageIds()) {
    SCOPED_TRACE(id);
    EXPECT_OK(engine().DeleteVolume(id));
    EXPECT_OK(engine().DeleteSnapshot(id));
    ASSERT_OK_AND_ASSIGN(const auto volume, engine().FindVolume(id));
    EXPECT_FALSE(volume.has_value());
    ASSERT_OK_AND_ASSIGN(const auto found, engine().FindSnapshot(id));
    EXPECT_FALSE(found.has_value());
    EXPECT_CODE(engine().ExpandVolume(id, {}), kNotFound);
  }
  EXPECT_OK(engine().DeleteVolume(snapshot.id)) << "a snapshot is no volume";
  EXPECT_OK(engine().DeleteSnapshot(kept.id));
  ASSERT_OK_AND_ASSIGN(const auto volumes, engine().ListVolumes("", 0));
  EXPECT_EQ(volumes.size(), 1u);
  ASSERT_OK_AND_ASSIGN(const auto snapshots, engine().ListSnapshots({}, "", 0));
  EXPECT_EQ(snapshots.size(), 1u);
}

TEST_P(EngineContract, DeleteVolume_Twice_IsOk_AndGivesItsSpaceBack) {
  const uint64_t before = SettledFreeBytes();
  ASSERT_OK_AND_ASSIGN(const Volume volume,
                       engine().CreateVolume(Request("one", Content::kExt4, 512 * kMiB)));
  EXPECT_LE(pool().space.free_bytes, before - 512 * kMiB) << "at once";
  EXPECT_OK(engine().DeleteVolume(volume.id));
  EXPECT_OK(engine().DeleteVolume(volume.id));
  ASSERT_OK_AND_ASSIGN(const auto found, engine().FindVolume(volume.id));
  EXPECT_FALSE(found.has_value());
  EXPECT_GE(SettledFreeBytes() + 16 * kMiB, before);
}

TEST_P(EngineContract, ListVolumes_InPages_GivesEachOnce) {
  std::set<std::string> made, seen;
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK_AND_ASSIGN(const Volume volume,
                         engine().CreateVolume(Request("v" + std::to_string(i), Content::kBlock)));
    made.insert(volume.id);
  }
  std::string after;
  for (int pages = 0; pages < 3; ++pages) {
    ASSERT_OK_AND_ASSIGN(const auto page, engine().ListVolumes(after, 2));
    ASSERT_EQ(page.size(), pages == 2 ? 1u : 2u);
    for (const ListedVolume& volume : page) {
      EXPECT_GT(volume.id, after);
      after = volume.id;
      seen.insert(volume.id);
    }
  }
  EXPECT_EQ(seen, made);
  ASSERT_OK_AND_ASSIGN(const auto beyond, engine().ListVolumes(after, 2));
  EXPECT_TRUE(beyond.empty());
}

TEST_P(ContentContract, ExpandVolume_GrowsAndNeverShrinks) {
  ASSERT_OK_AND_ASSIGN(const Volume volume, engine().CreateVolume(Request("one", content())));
  const uint64_t present = volume.capacity_bytes, larger = present + 64 * kMiB;
  ASSERT_OK_AND_ASSIGN(const Volume grown, engine().ExpandVolume(volume.id, {larger, 0}));
  EXPECT_EQ(grown.capacity_bytes, larger);
  EXPECT_EQ(grown.incarnation, volume.incarnation);
  ASSERT_OK_AND_ASSIGN(const Volume again, engine().ExpandVolume(volume.id, {larger, 0}));
  EXPECT_EQ(again.capacity_bytes, larger);
  ASSERT_OK_AND_ASSIGN(const Volume smaller, engine().ExpandVolume(volume.id, {present, 0}));
  EXPECT_EQ(smaller.capacity_bytes, larger);
  EXPECT_CODE(engine().ExpandVolume(volume.id, {0, present}), kOutOfRange);
  EXPECT_CODE(engine().ExpandVolume(volume.id, {kMaximumCapacityBytes + 1, 0}), kOutOfRange);
  EXPECT_CODE(engine().ExpandVolume(volume.id, {64 * kGiB, 0}), kOutOfRange) << "no room";
  ASSERT_OK_AND_ASSIGN(const auto found, engine().FindVolume(volume.id));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->capacity_bytes, larger);
}

TEST_P(EngineContract, CreateVolume_OfOneNameByMany_MakesOne) {
  std::vector<absl::StatusOr<Volume>> results(8);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] { result = engine().CreateVolume(Request("one")); });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> incarnations;
  for (const auto& result : results) {
    if (result.ok()) {
      incarnations.insert(result->incarnation);
    } else {
      EXPECT_CODE(result, kAborted);
    }
  }
  EXPECT_EQ(incarnations.size(), 1u);
  ASSERT_OK_AND_ASSIGN(const auto all, engine().ListVolumes("", 0));
  EXPECT_EQ(all.size(), 1u);
}

TEST_P(EngineContract, CreateVolume_OfManyNames_NeverOversubscribes) {
  ASSERT_OK_AND_ASSIGN(const CapacityAnswer capacity, engine().GetCapacity({}, Content::kBlock));
  const uint64_t third = capacity.maximum_volume_bytes / 3;
  std::vector<absl::StatusOr<Volume>> results(6);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      results[i] = engine().CreateVolume(Request("v" + std::to_string(i), Content::kBlock, third));
    });
  }
  for (std::thread& thread : threads) thread.join();
  size_t made = 0;
  for (const auto& result : results) {
    made += result.ok();
    EXPECT_TRUE(result.ok() || absl::IsResourceExhausted(result.status())) << result.status();
  }
  EXPECT_GE(made, 2u);
  EXPECT_LE(made, 3u);
  CheckInvariant();
}

}  // namespace
}  // namespace holdfast
