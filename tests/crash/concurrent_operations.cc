// Several calls in flight when the driver dies: their steps are mixed in catalog, pool and kernel.
#include <filesystem>
#include <future>

#include "tests/crash/crash_world.h"

namespace holdfast {
namespace {

// A create, a snapshot of a mounted volume, a stage and a delete, each of a volume of its own.
class FourAtOnce : public Operation {
 public:
  void SetUp(CrashWorld& world) override {
    world.MakeSource(/*shown=*/true);
    if (world.HasFailure()) return;
    ASSERT_OK_AND_ASSIGN(other_, world.Create({.name = "other", .content = world.content()}));
    create_.set_name("made");
    create_.mutable_capacity_range()->set_required_bytes(
        static_cast<int64_t>(SmallestOf(world.content())));
    *create_.add_volume_capabilities() = CapabilityOf(other_);
    snapshot_.set_name("cut");
    snapshot_.set_source_volume_id(world.source.id);
    stage_.set_volume_id(other_.id);
    stage_.set_staging_target_path(world.StagingPath(other_));
    *stage_.mutable_volume_capability() = CapabilityOf(other_);
    std::filesystem::create_directories(world.StagingPath(other_));
  }
  void Prepare(CrashWorld& world) override {
    world.Dirty(world.target);
    ASSERT_OK_AND_ASSIGN(gone_, world.Create({.name = "gone", .content = world.content()}));
    delete_.set_volume_id(gone_.id);
  }
  absl::Status Call(CrashWorld& world) override {
    const auto start = [&world](const auto& request) {
      return std::async(std::launch::async, [&] { return world.client().Call(request).status(); });
    };
    std::future<absl::Status> calls[] = {start(create_), start(snapshot_), start(stage_),
                                         start(delete_)};
    absl::Status first;
    for (std::future<absl::Status>& call : calls) first.Update(call.get());
    return first;
  }
  // The fixture is told of what there is by asking once more.
  void Verify(CrashWorld& world) override {
    ASSERT_OK_AND_ASSIGN(made_, world.Create({.name = "made", .content = world.content()}));
    ASSERT_OK_AND_ASSIGN(cut_, world.Snapshot(world.source, "cut"));
    ASSERT_OK(world.Stage(other_));
    ASSERT_OK(world.Delete(gone_));
    world.ExpectKnownAt(world.source, world.target);
    ASSERT_OK_AND_ASSIGN(const std::string shown, world.Publish(other_));
    world.ExpectWritable(other_, shown);
  }
  void Clean(CrashWorld& world) override {
    ASSERT_OK(world.PutAway(other_));
    ASSERT_OK(world.DeleteSnapshot(cut_));
    ASSERT_OK(world.Delete(made_));
  }
  std::string interruption(Content) const override { return "renameat2"; }

 private:
  csi::v1::CreateVolumeRequest create_;
  csi::v1::CreateSnapshotRequest snapshot_;
  csi::v1::NodeStageVolumeRequest stage_;
  csi::v1::DeleteVolumeRequest delete_;
  Claim other_, made_, gone_;
  std::string cut_;
};

}  // namespace

std::vector<OperationKind> ConcurrentOperations() {
  return {{"FourAtOnce", MakeOperation<FourAtOnce>}};
}

}  // namespace holdfast
