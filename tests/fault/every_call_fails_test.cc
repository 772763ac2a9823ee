// For every RPC that changes something (the others: reading_calls_fail_test.cc) and every n: the
// n-th call of host or catalog fails. The call must answer with an error (or must not have needed
// what failed), leave nothing behind that a repeat does not clear away, succeed when repeated, and
// change nothing when repeated once more. The same with a driver that died instead of repeating,
// and with everything from the n-th call on failing, so that the undoing fails as well.
#include <dirent.h>

#include <functional>

#include "base/sizes.h"
#include "gtest/gtest.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

constexpr int kMostCalls = 400;  // no RPC makes more; a scenario that does is a loop

struct Scenario {
  const char* name;
  std::function<void(Rig&)> prepare;
  std::function<grpc::Status(Rig&)> call;
  // What must be so once the call has succeeded.
  size_t loops, volumes, snapshots, mounts;
  uint64_t bytes = 0;  // of volume "a", its image, loop devices and filesystem; 0: as it was made
};

std::string Id(Rig& rig, const std::string& name) {
  const auto pools = rig.engine->Pools();
  EXPECT_EQ(pools.size(), 1U);
  return MakeId(ObjectKind::kVolume, pools.front().uuid, name);
}
std::string SnapshotId(Rig& rig, const std::string& name) {
  return MakeId(ObjectKind::kSnapshot, rig.engine->Pools().front().uuid, name);
}

void Must(const grpc::Status& status) { ASSERT_TRUE(status.ok()) << status.error_message(); }

grpc::Status CreateFrom(Rig& rig, const std::string& name, bool snapshot) {
  auto request = rig.CreateRequest(name);
  request.mutable_capacity_range()->set_required_bytes(96 * kMiB);
  auto* source = request.mutable_volume_content_source();
  if (snapshot) {
    source->mutable_snapshot()->set_snapshot_id(SnapshotId(rig, "s"));
  } else {
    source->mutable_volume()->set_volume_id(Id(rig, "a"));
  }
  return rig.Create(request, nullptr);
}

void MakeA(Rig& rig) { rig.MustCreate("a"); }
void MakeBlock(Rig& rig) { rig.MustCreate("a", "block"); }
void StageA(Rig& rig) {
  MakeA(rig);
  Must(rig.Stage(Id(rig, "a")));
}
void PublishA(Rig& rig) {
  StageA(rig);
  Must(rig.Publish(Id(rig, "a")));
}
void StageBlock(Rig& rig) {
  MakeBlock(rig);
  Must(rig.Stage(Id(rig, "a"), "block"));
}
void SnapshotA(Rig& rig) {
  MakeA(rig);
  Must(rig.Snapshot("s", Id(rig, "a")));
}
void ExpandPublishedXfs(Rig& rig) {
  auto request = rig.CreateRequest("a", "xfs");
  request.mutable_capacity_range()->set_required_bytes(300 * kMiB);
  Must(rig.Create(request, nullptr));
  Must(rig.Stage(Id(rig, "a"), "xfs"));
  Must(rig.Publish(Id(rig, "a"), "pod", "xfs"));
  Must(rig.Expand(Id(rig, "a"), 400 * kMiB));
}

const Scenario kScenarios[] = {
    {"CreateVolume", [](Rig&) {},
     [](Rig& rig) { return rig.Create(rig.CreateRequest("a"), nullptr); }, 0, 1, 0, 0},
    {"CreateVolumeXfsThin", [](Rig&) {},
     [](Rig& rig) {
       auto request = rig.CreateRequest("a", "xfs");
       (*request.mutable_parameters())["provisioning"] = "thin";
       (*request.mutable_parameters())["rootMode"] = "0700";
       return rig.Create(request, nullptr);
     },
     0, 1, 0, 0},
    {"CreateVolumeBlock", [](Rig&) {},
     [](Rig& rig) { return rig.Create(rig.CreateRequest("a", "block"), nullptr); }, 0, 1, 0, 0},
    {"CreateVolumeFromSnapshot", SnapshotA, [](Rig& rig) { return CreateFrom(rig, "b", true); }, 0,
     2, 1, 0},
    {"CreateVolumeFromVolume", MakeA, [](Rig& rig) { return CreateFrom(rig, "b", false); }, 0, 2, 0,
     0},
    {"CreateVolumeFromPublishedVolume", PublishA,
     [](Rig& rig) { return CreateFrom(rig, "b", false); }, 1, 2, 0, 2},
    {"DeleteVolume", MakeA, [](Rig& rig) { return rig.Delete(Id(rig, "a")); }, 0, 0, 0, 0},
    {"DeleteVolumeThatIsStaged", StageA, [](Rig& rig) { return rig.Delete(Id(rig, "a")); }, 0, 0, 0,
     0},
    {"DeleteVolumeBlockThatIsStaged", StageBlock, [](Rig& rig) { return rig.Delete(Id(rig, "a")); },
     0, 0, 0, 0},
    {"CreateSnapshot", MakeA, [](Rig& rig) { return rig.Snapshot("s", Id(rig, "a")); }, 0, 1, 1, 0},
    {"CreateSnapshotOfPublishedVolume", PublishA,
     [](Rig& rig) { return rig.Snapshot("s", Id(rig, "a")); }, 1, 1, 1, 2},
    {"CreateSnapshotOfStagedBlock", StageBlock,
     [](Rig& rig) { return rig.Snapshot("s", Id(rig, "a")); }, 1, 1, 1, 0},
    {"DeleteSnapshot", SnapshotA,
     [](Rig& rig) {
       csi::v1::DeleteSnapshotRequest request;
       request.set_snapshot_id(SnapshotId(rig, "s"));
       csi::v1::DeleteSnapshotResponse response;
       return rig.controller->DeleteSnapshot(nullptr, &request, &response);
     },
     0, 1, 0, 0},
    {"ControllerExpandVolume", MakeA, [](Rig& rig) { return rig.Expand(Id(rig, "a"), 128 * kMiB); },
     0, 1, 0, 0, 128 * kMiB},
    {"NodeStageVolume", MakeA, [](Rig& rig) { return rig.Stage(Id(rig, "a")); }, 1, 1, 0, 1},
    {"NodeStageVolumeGrows",
     [](Rig& rig) {
       MakeA(rig);
       Must(rig.Expand(Id(rig, "a"), 128 * kMiB));
     },
     [](Rig& rig) { return rig.Stage(Id(rig, "a")); }, 1, 1, 0, 1, 128 * kMiB},
    {"NodeStageVolumeBlock", MakeBlock, [](Rig& rig) { return rig.Stage(Id(rig, "a"), "block"); },
     1, 1, 0, 0},
    {"NodePublishVolume", StageA, [](Rig& rig) { return rig.Publish(Id(rig, "a")); }, 1, 1, 0, 2},
    {"NodePublishVolumeBlock", StageBlock,
     [](Rig& rig) { return rig.Publish(Id(rig, "a"), "pod", "block"); }, 1, 1, 0, 1},
    {"NodeUnpublishVolume", PublishA, [](Rig& rig) { return rig.Unpublish(Id(rig, "a")); }, 1, 1, 0,
     1},
    {"NodeUnstageVolume", StageA, [](Rig& rig) { return rig.Unstage(Id(rig, "a")); }, 0, 1, 0, 0},
    {"NodeUnstageVolumeBlock", StageBlock, [](Rig& rig) { return rig.Unstage(Id(rig, "a")); }, 0, 1,
     0, 0},
    {"NodeExpandVolume", ExpandPublishedXfs, [](Rig& rig) { return rig.NodeExpand(Id(rig, "a")); },
     1, 1, 0, 2, 400 * kMiB},
};

size_t OpenFds() {
  size_t count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

void AuditSize(Rig& rig, uint64_t bytes, bool grown) {
  const Volume row = rig.Row(Id(rig, "a"));
  EXPECT_EQ(row.capacity_bytes, bytes);
  const uint64_t filesystem_bytes = row.filesystem_bytes;
  EXPECT_EQ(filesystem_bytes == bytes, grown) << filesystem_bytes;
  for (const Loop& loop : rig.machine.OpenLoops()) EXPECT_EQ(loop.size_bytes, bytes);
}

void Audit(Rig& rig, const Scenario& scenario) {
  EXPECT_TRUE(rig.engine->PurgeExpiredTrash().ok());  // as the server does now and then
  EXPECT_EQ(rig.machine.OpenLoops().size(), scenario.loops);
  EXPECT_EQ(rig.machine.MountCount(), scenario.mounts);
  EXPECT_EQ(rig.machine.FrozenCount(), 0U);
  EXPECT_EQ(rig.machine.FilesIn("/pool/work").size(), 0U);
  EXPECT_EQ(rig.machine.FilesIn("/pool/trash").size(), 0U) << "the rig's grace is 0";
  EXPECT_EQ(rig.machine.FilesIn("/pool/volumes").size(), scenario.volumes);
  EXPECT_EQ(rig.machine.FilesIn("/pool/snapshots").size(), scenario.snapshots);
  const auto pools = rig.engine->Pools();
  ASSERT_EQ(pools.size(), 1U);
  EXPECT_EQ(pools[0].refusal, "");
  EXPECT_EQ(pools[0].volumes, scenario.volumes);
  EXPECT_EQ(pools[0].snapshots, scenario.snapshots);
  EXPECT_EQ(pools[0].trash_entries, 0U);
  EXPECT_GE(pools[0].space.free_bytes, pools[0].space.owed_bytes + pools[0].space.floor_bytes);
  // A filesystem grows where it is staged.
  if (scenario.bytes > 0) AuditSize(rig, scenario.bytes, scenario.loops > 0);
}

enum class Which { kHost, kCatalog };
enum class After { kRepeat, kRestart };
struct Mode {
  const char* name;
  Which which;
  After after;
  bool persistent;  // everything from the n-th call on fails: the undoing too
};
const Mode kModes[] = {
    {"Host", Which::kHost, After::kRepeat, false},
    {"HostThenRestart", Which::kHost, After::kRestart, false},
    {"HostForGood", Which::kHost, After::kRepeat, true},
    {"HostForGoodThenRestart", Which::kHost, After::kRestart, true},
    {"Catalog", Which::kCatalog, After::kRepeat, false},
    {"CatalogForGood", Which::kCatalog, After::kRepeat, true},
    {"CatalogForGoodThenRestart", Which::kCatalog, After::kRestart, true},
};

class EveryCall : public testing::TestWithParam<std::tuple<Scenario, Mode>> {};

// Returns false when the operation needs no n-th call: all n are done.
bool FailNth(const Scenario& scenario, const Mode& mode, int n) {
  SCOPED_TRACE(testing::Message() << "n = " << n);
  Rig rig;
  scenario.prepare(rig);
  FaultPlan& plan = mode.which == Which::kHost ? rig.host.plan() : rig.catalog_plan;
  plan.FailNth(n, FaultPlan::Counts::kAllCalls, absl::InternalError("injected fault"),
               mode.persistent);
  const grpc::Status first = scenario.call(rig);
  const bool fired = plan.count() > n;
  SCOPED_TRACE(testing::Message() << "failed: " << plan.failed_call() << "; answered "
                                  << first.error_code() << " " << first.error_message());
  plan.Clear();
  EXPECT_TRUE(fired || first.ok());
  if (mode.after == After::kRestart) rig.Restart();
  const grpc::Status second = scenario.call(rig);
  EXPECT_TRUE(second.ok()) << second.error_message();
  Audit(rig, scenario);
  const grpc::Status third = scenario.call(rig);
  EXPECT_TRUE(third.ok()) << third.error_message();
  Audit(rig, scenario);
  return fired;
}

TEST_P(EveryCall, FailsOnce_LeavesNothingAndSucceedsWhenRepeated) {
  const auto& [scenario, mode] = GetParam();
  const size_t fds_before = OpenFds();
  int n = 0;
  while (FailNth(scenario, mode, n)) {
    ASSERT_LT(++n, kMostCalls);
    if (HasFailure()) return;  // the first n tells enough
  }
  EXPECT_GT(n, 3) << "nothing was made to fail";
  EXPECT_EQ(OpenFds(), fds_before);
}

INSTANTIATE_TEST_SUITE_P(Rpc, EveryCall,
                         testing::Combine(testing::ValuesIn(kScenarios), testing::ValuesIn(kModes)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param).name) + "_" +
                                  std::get<1>(test.param).name;
                         });

}  // namespace
}  // namespace holdfast
