// The engine behind the controller fails: its code and sentence reach the caller unchanged, and the
// call succeeds when the engine does.
#include "base/sizes.h"
#include "controller/controller_service.h"
#include "engine/fake/fake_engine.h"
#include "gtest/gtest.h"
#include "tests/fakes/faulty_engine.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

class EngineFails : public testing::TestWithParam<absl::StatusCode> {};

TEST_P(EngineFails, EveryRpc_AnswersItsCodeAndThenSucceeds) {
  FakeClock clock;
  FakeEngine inner(clock, {{.name = "default", .size_bytes = 100 * kGiB}});
  FaultyEngine engine(inner);
  ControllerService controller(engine, {.node_id = "node"});
  const absl::Status fault(GetParam(), "the disk is on fire");

  const auto fails_then_works = [&](const char* rpc, const std::function<grpc::Status()>& call) {
    SCOPED_TRACE(rpc);
    engine.plan().FailNth(0, FaultPlan::Counts::kAllCalls, fault);
    const grpc::Status failed = call();
    EXPECT_EQ(static_cast<int>(failed.error_code()), static_cast<int>(GetParam()));
    EXPECT_NE(failed.error_message().find("the disk is on fire"), std::string::npos);
    engine.plan().Clear();
    const grpc::Status worked = call();
    EXPECT_TRUE(worked.ok()) << worked.error_message();
  };

  csi::v1::CreateVolumeRequest create;
  create.set_name("a");
  *create.add_volume_capabilities() = CapabilityOf("ext4");
  csi::v1::CreateVolumeResponse created;
  fails_then_works("CreateVolume",
                   [&] { return controller.CreateVolume(nullptr, &create, &created); });
  const std::string id = created.volume().volume_id();

  csi::v1::CreateSnapshotRequest snapshot;
  snapshot.set_name("s");
  snapshot.set_source_volume_id(id);
  csi::v1::CreateSnapshotResponse cut;
  fails_then_works("CreateSnapshot",
                   [&] { return controller.CreateSnapshot(nullptr, &snapshot, &cut); });

  fails_then_works("ListVolumes", [&] {
    csi::v1::ListVolumesRequest request;
    csi::v1::ListVolumesResponse response;
    return controller.ListVolumes(nullptr, &request, &response);
  });
  fails_then_works("ListSnapshots", [&] {
    csi::v1::ListSnapshotsRequest request;
    csi::v1::ListSnapshotsResponse response;
    return controller.ListSnapshots(nullptr, &request, &response);
  });
  fails_then_works("ControllerGetVolume", [&] {
    csi::v1::ControllerGetVolumeRequest request;
    request.set_volume_id(id);
    csi::v1::ControllerGetVolumeResponse response;
    return controller.ControllerGetVolume(nullptr, &request, &response);
  });
  fails_then_works("GetSnapshot", [&] {
    csi::v1::GetSnapshotRequest request;
    request.set_snapshot_id(cut.snapshot().snapshot_id());
    csi::v1::GetSnapshotResponse response;
    return controller.GetSnapshot(nullptr, &request, &response);
  });
  fails_then_works("GetCapacity", [&] {
    csi::v1::GetCapacityRequest request;
    csi::v1::GetCapacityResponse response;
    return controller.GetCapacity(nullptr, &request, &response);
  });
  fails_then_works("ValidateVolumeCapabilities", [&] {
    csi::v1::ValidateVolumeCapabilitiesRequest request;
    request.set_volume_id(id);
    *request.add_volume_capabilities() = CapabilityOf("ext4");
    csi::v1::ValidateVolumeCapabilitiesResponse response;
    return controller.ValidateVolumeCapabilities(nullptr, &request, &response);
  });
  fails_then_works("ControllerExpandVolume", [&] {
    csi::v1::ControllerExpandVolumeRequest request;
    request.set_volume_id(id);
    request.mutable_capacity_range()->set_required_bytes(int64_t{2} << 30);
    csi::v1::ControllerExpandVolumeResponse response;
    return controller.ControllerExpandVolume(nullptr, &request, &response);
  });
  fails_then_works("DeleteSnapshot", [&] {
    csi::v1::DeleteSnapshotRequest request;
    request.set_snapshot_id(cut.snapshot().snapshot_id());
    csi::v1::DeleteSnapshotResponse response;
    return controller.DeleteSnapshot(nullptr, &request, &response);
  });
  fails_then_works("DeleteVolume", [&] {
    csi::v1::DeleteVolumeRequest request;
    request.set_volume_id(id);
    csi::v1::DeleteVolumeResponse response;
    return controller.DeleteVolume(nullptr, &request, &response);
  });
}

INSTANTIATE_TEST_SUITE_P(Code, EngineFails,
                         testing::Values(absl::StatusCode::kInternal,
                                         absl::StatusCode::kUnavailable, absl::StatusCode::kAborted,
                                         absl::StatusCode::kDataLoss));

}  // namespace
}  // namespace holdfast
