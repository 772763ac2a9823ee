// For every call of the administrator's and every n: the n-th call of host or catalog fails.
// Nothing is lost, the repeat succeeds, and one more repeat changes nothing.
#include <functional>

#include "base/sizes.h"
#include "base/uuid.h"
#include "gtest/gtest.h"
#include "tests/fakes/status_asserts.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

constexpr int kMostCalls = 600;

struct Scenario {
  const char* name;
  std::function<std::string(Rig&)> prepare;  // gives what `call` is about
  std::function<grpc::Status(Rig&, const std::string&)> call;
  // What must be so once the call has succeeded.
  size_t volumes, snapshots, trash;
};

Pool& PoolOf(Rig& rig) { return *rig.engine->pools().front(); }

std::string OnlyIncarnation(Rig& rig) {
  const auto entries = PoolOf(rig).catalog->ListTrash();
  EXPECT_TRUE(entries.ok() && entries->size() == 1);
  return entries->front().incarnation;
}
std::string DeleteA(Rig& rig) {
  EXPECT_TRUE(rig.Delete(rig.MustCreate("a")).ok());
  return OnlyIncarnation(rig);
}
std::string DeleteSnapshotOfA(Rig& rig) {
  csi::v1::Snapshot cut;
  EXPECT_TRUE(rig.Snapshot("s", rig.MustCreate("a"), &cut).ok());
  EXPECT_OK(rig.engine->DeleteSnapshot(cut.snapshot_id()));
  return OnlyIncarnation(rig);
}
// An image that lost its row.
std::string OrphanA(Rig& rig) {
  const Volume volume = rig.Row(rig.MustCreate("a"));
  EXPECT_OK(PoolOf(rig).catalog->RemoveVolume(volume.id));
  return ImageName(volume.incarnation);
}
std::string RefusedA(Rig& rig) {
  const std::string id = rig.MustCreate("a");
  rig.machine.EditRootOffline(rig.ImagePath(id), [](RootAttributes& root) { root.mode = 0777; });
  EXPECT_FALSE(rig.Stage(id).ok());
  return id;
}
// One leak of each kind that is mended.
std::string Leaks(Rig& rig) {
  const std::string incarnation = DeleteA(rig);
  rig.machine.RemovePath("/pool/trash/" + ImageName(incarnation));
  const std::string id = rig.MustCreate("b");
  rig.machine.AttachForeign(rig.ImagePath(id));
  rig.machine.MakeFile("/pool/work/leftover");
  EXPECT_OK(rig.machine.RecordFreeze(0x1234));
  Volume half = rig.Row(rig.MustCreate("c"));
  half.state = ObjectState::kCreating;
  EXPECT_OK(PoolOf(rig).catalog->UpdateVolume(half));
  const Pool& pool = PoolOf(rig);
  const std::string image = ImageName(half.incarnation);
  EXPECT_OK(rig.machine.Rename(pool.volumes, image, pool.work, image));
  return "";
}

grpc::Status Restore(Rig& rig, const std::string& incarnation) {
  admin::v1::RestoreTrashRequest request;
  request.set_incarnation(incarnation);
  admin::v1::RestoreTrashResponse response;
  return rig.admin->RestoreTrash(nullptr, &request, &response);
}
grpc::Status Purge(Rig& rig, const std::string& incarnation) {
  admin::v1::PurgeTrashRequest request;
  request.set_incarnation(incarnation);
  admin::v1::PurgeTrashResponse response;
  return rig.admin->PurgeTrash(nullptr, &request, &response);
}
grpc::Status Adopt(Rig& rig, const std::string& file, bool thick) {
  admin::v1::AdoptOrphanRequest request;
  request.set_pool("default");
  request.set_folder("volumes");
  request.set_file(file);
  request.set_name("adopted");
  request.set_thick(thick);
  admin::v1::AdoptOrphanResponse response;
  return rig.admin->AdoptOrphan(nullptr, &request, &response);
}
grpc::Status Examine(Rig& rig, bool fix) {
  admin::v1::ExamineRequest request;
  request.set_fix(fix);
  admin::v1::ExamineResponse response;
  return rig.admin->Examine(nullptr, &request, &response);
}

const Scenario kScenarios[] = {
    {"RestoreTrashOfVolume", DeleteA, Restore, 1, 0, 0},
    {"RestoreTrashOfSnapshot", DeleteSnapshotOfA, Restore, 1, 1, 0},
    {"PurgeTrash", DeleteA, Purge, 0, 0, 0},
    {"AdoptOrphan", OrphanA,
     [](Rig& rig, const std::string& file) { return Adopt(rig, file, false); }, 1, 0, 0},
    {"AdoptOrphanThick", OrphanA,
     [](Rig& rig, const std::string& file) { return Adopt(rig, file, true); }, 1, 0, 0},
    {"GrowPool",
     [](Rig& rig) {
       rig.machine.EnlargePoolDisk("/pool", 12 * kGiB);
       return std::string();
     },
     [](Rig& rig, const std::string&) {
       admin::v1::GrowPoolRequest request;
       request.set_pool("default");
       admin::v1::GrowPoolResponse response;
       return rig.admin->GrowPool(nullptr, &request, &response);
     },
     0, 0, 0},
    {"ExamineAndFix", Leaks, [](Rig& rig, const std::string&) { return Examine(rig, true); }, 1, 0,
     0},
};

// Files and rows are one, nothing is left of the attempt, and the doctor has nothing to say.
void Audit(Rig& rig, const Scenario& scenario) {
  EXPECT_EQ(rig.machine.FilesIn("/pool/volumes").size(), scenario.volumes);
  EXPECT_EQ(rig.machine.FilesIn("/pool/snapshots").size(), scenario.snapshots);
  EXPECT_EQ(rig.machine.FilesIn("/pool/trash").size(), scenario.trash);
  EXPECT_EQ(rig.machine.FilesIn("/pool/work").size(), 0U);
  EXPECT_EQ(rig.machine.OpenLoops().size(), 0U);
  EXPECT_EQ(PoolOf(rig).catalog->AllVolumes()->size(), scenario.volumes);
  const auto examination = rig.upkeep->Examine(false);
  ASSERT_OK(examination);
  for (const Finding& finding : examination->findings) {
    ADD_FAILURE() << finding.kind << " " << finding.object << ": " << finding.found;
  }
}

enum class Which { kHost, kCatalog };
struct Mode {
  const char* name;
  Which which;
  bool restart, persistent;
};
const Mode kModes[] = {
    {"Host", Which::kHost, false, false},
    {"HostThenRestart", Which::kHost, true, false},
    {"HostForGood", Which::kHost, false, true},
    {"HostForGoodThenRestart", Which::kHost, true, true},
    {"Catalog", Which::kCatalog, false, false},
    {"CatalogForGood", Which::kCatalog, false, true},
    {"CatalogForGoodThenRestart", Which::kCatalog, true, true},
};

class AdminCall : public testing::TestWithParam<std::tuple<Scenario, Mode>> {};

bool FailNth(const Scenario& scenario, const Mode& mode, int n) {
  SCOPED_TRACE(testing::Message() << "n = " << n);
  Rig rig({.trash_grace = std::chrono::hours(24)});
  const std::string subject = scenario.prepare(rig);
  FaultPlan& plan = mode.which == Which::kHost ? rig.host.plan() : rig.catalog_plan;
  plan.FailNth(n, FaultPlan::Counts::kAllCalls, absl::InternalError("injected fault"),
               mode.persistent);
  const grpc::Status first = scenario.call(rig, subject);
  const bool fired = plan.count() > n;
  SCOPED_TRACE(testing::Message() << "failed: " << plan.failed_call() << "; answered "
                                  << first.error_code() << " " << first.error_message());
  plan.Clear();
  EXPECT_TRUE(fired || first.ok());
  if (mode.restart) rig.Restart();
  for (int i = 0; i < 2; ++i) {
    const grpc::Status repeated = scenario.call(rig, subject);
    EXPECT_TRUE(repeated.ok()) << repeated.error_message();
    Audit(rig, scenario);
  }
  return fired;
}

TEST_P(AdminCall, FailsOnce_LosesNothingAndSucceedsWhenRepeated) {
  const auto& [scenario, mode] = GetParam();
  int n = 0;
  while (FailNth(scenario, mode, n)) {
    ASSERT_LT(++n, kMostCalls);
    if (HasFailure()) return;  // the first n tells enough
  }
  EXPECT_GT(n, 0) << "nothing was made to fail";
}

INSTANTIATE_TEST_SUITE_P(Rpc, AdminCall,
                         testing::Combine(testing::ValuesIn(kScenarios), testing::ValuesIn(kModes)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param).name) + "_" +
                                  std::get<1>(test.param).name;
                         });

// A refused volume whose acknowledgement failed is refused still; once it was done there is nothing
// more to accept.
TEST(AdminCallOnce, AcknowledgeVolume_FailsOrIsDone) {
  for (int n = 0;; ++n) {
    ASSERT_LT(n, kMostCalls);
    SCOPED_TRACE(n);
    Rig rig;
    admin::v1::AcknowledgeVolumeRequest request;
    request.set_volume_id(RefusedA(rig));
    admin::v1::AcknowledgeVolumeResponse response;
    rig.catalog_plan.FailNth(n, FaultPlan::Counts::kAllCalls, absl::InternalError("injected"));
    const grpc::Status first = rig.admin->AcknowledgeVolume(nullptr, &request, &response);
    const bool fired = rig.catalog_plan.count() > n;
    rig.catalog_plan.Clear();
    EXPECT_EQ(first.ok(), !fired);
    if (fired) {
      EXPECT_TRUE(rig.Row(request.volume_id()).stage.verdict.has_value());
      EXPECT_TRUE(rig.admin->AcknowledgeVolume(nullptr, &request, &response).ok());
    }
    EXPECT_FALSE(rig.Row(request.volume_id()).stage.verdict.has_value());
    EXPECT_TRUE(rig.Stage(request.volume_id()).ok());
    if (!fired) break;
  }
}

// An orphan that must be renamed is an orphan under one name or the other, whatever fails; it is
// never lost, and never half a volume.
TEST(AdminCallOnce, AdoptOrphanThatMoves_IsAnOrphanOrAVolume) {
  for (const bool persistent : {false, true}) {
    for (int n = 0;; ++n) {
      ASSERT_LT(n, kMostCalls);
      SCOPED_TRACE(testing::Message() << n << (persistent ? " for good" : ""));
      Rig rig;
      const std::string file = OrphanA(rig);
      ASSERT_OK(rig.machine.Rename(PoolOf(rig).volumes, file, PoolOf(rig).volumes, "old"));
      rig.host.plan().FailNth(n, FaultPlan::Counts::kAllCalls, absl::InternalError("injected"),
                              persistent);
      const grpc::Status first = Adopt(rig, "old", false);
      const bool fired = rig.host.plan().count() > n;
      rig.host.plan().Clear();
      const auto orphans = ListOrphans(PoolOf(rig));
      ASSERT_OK(orphans);
      EXPECT_EQ(orphans->size(), first.ok() ? 0U : 1U) << first.error_message();
      EXPECT_EQ(rig.machine.FilesIn("/pool/volumes").size(), 1U);
      if (!first.ok()) {
        EXPECT_TRUE(Adopt(rig, orphans->front().name, false).ok());
      }
      if (!fired) break;
    }
  }
}

}  // namespace
}  // namespace holdfast
