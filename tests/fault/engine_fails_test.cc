// The engine behind the controller fails, at its n-th call for every n: its code and sentence reach
// the caller unchanged, the call succeeds when the engine does, and one more repeat answers the
// same.
//
// The node plugin has no such seam: it asks ImageEngine itself, whose calls fail as those of host
// and catalog below it do (every_call_fails_test.cc, reading_calls_fail_test.cc).
#include <functional>

#include "base/sizes.h"
#include "controller/controller_service.h"
#include "engine/fake/fake_engine.h"
#include "gtest/gtest.h"
#include "tests/fakes/faulty_engine.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

struct Answer {
  grpc::Status status;
  std::string text;
};

// A controller before an engine with the volume "a" and its snapshot "s".
struct Site {
  Site() {
    volume = inner.CreateVolume({.name = "a", .content = Content::kExt4})->id;
    snapshot = inner.CreateSnapshot("s", volume)->id;
  }

  FakeClock clock;
  FakeEngine inner{clock, {{.name = "default", .size_bytes = 100 * kGiB}}};
  FaultyEngine engine{inner};
  SingleNode nodes{"node", engine};
  ControllerService controller{nodes};
  std::string volume, snapshot;
};

struct Rpc {
  const char* name;
  int engine_calls;
  std::function<Answer(Site&)> call;
};

// `fill` takes the site and the request.
template <class Request, class Response, class Fill>
Rpc Calls(const char* name, int engine_calls,
          grpc::Status (ControllerService::*rpc)(grpc::ServerContext*, const Request*, Response*),
          Fill fill) {
  return {name, engine_calls, [rpc, fill](Site& site) {
            Request request;
            fill(site, request);
            Response response;
            const grpc::Status status = (site.controller.*rpc)(nullptr, &request, &response);
            return Answer{status, response.DebugString()};
          }};
}

csi::v1::CreateVolumeRequest CreateB() {
  csi::v1::CreateVolumeRequest request;
  request.set_name("b");
  *request.add_volume_capabilities() = CapabilityOf("ext4");
  return request;
}

const Rpc kRpcs[] = {
    Calls("CreateVolume", 1, &ControllerService::CreateVolume,
          [](Site&, auto& request) { request = CreateB(); }),
    Calls("CreateVolumeFromSnapshot", 1, &ControllerService::CreateVolume,
          [](Site& site, auto& request) {
            request = CreateB();
            request.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id(
                site.snapshot);
          }),
    Calls("CreateVolumeFromVolume", 1, &ControllerService::CreateVolume,
          [](Site& site, auto& request) {
            request = CreateB();
            request.mutable_volume_content_source()->mutable_volume()->set_volume_id(site.volume);
          }),
    Calls("DeleteVolume", 1, &ControllerService::DeleteVolume,
          [](Site& site, auto& request) { request.set_volume_id(site.volume); }),
    Calls("ControllerExpandVolume", 2, &ControllerService::ControllerExpandVolume,
          [](Site& site, auto& request) {
            request.set_volume_id(site.volume);
            request.mutable_capacity_range()->set_required_bytes(int64_t{2} << 30);
          }),
    Calls("CreateSnapshot", 1, &ControllerService::CreateSnapshot,
          [](Site& site, auto& request) {
            request.set_name("t");
            request.set_source_volume_id(site.volume);
          }),
    Calls("DeleteSnapshot", 1, &ControllerService::DeleteSnapshot,
          [](Site& site, auto& request) { request.set_snapshot_id(site.snapshot); }),
    Calls("ListVolumes", 1, &ControllerService::ListVolumes, [](Site&, auto&) {}),
    Calls("ListSnapshots", 1, &ControllerService::ListSnapshots, [](Site&, auto&) {}),
    Calls("ControllerGetVolume", 1, &ControllerService::ControllerGetVolume,
          [](Site& site, auto& request) { request.set_volume_id(site.volume); }),
    Calls("GetSnapshot", 1, &ControllerService::GetSnapshot,
          [](Site& site, auto& request) { request.set_snapshot_id(site.snapshot); }),
    Calls("GetCapacity", 1, &ControllerService::GetCapacity, [](Site&, auto&) {}),
    Calls("GetCapacityOfAnotherNode", 0, &ControllerService::GetCapacity,
          [](Site&, auto& request) {
            (*request.mutable_accessible_topology()->mutable_segments())["elsewhere"] = "yes";
          }),
    Calls("ValidateVolumeCapabilities", 1, &ControllerService::ValidateVolumeCapabilities,
          [](Site& site, auto& request) {
            request.set_volume_id(site.volume);
            *request.add_volume_capabilities() = CapabilityOf("ext4");
          }),
    Calls("ControllerGetCapabilities", 0, &ControllerService::ControllerGetCapabilities,
          [](Site&, auto&) {}),
};

class EngineFails : public testing::TestWithParam<std::tuple<Rpc, absl::StatusCode>> {};

// Returns false when the RPC needs no n-th call: all n are done.
bool FailNth(const Rpc& rpc, absl::StatusCode code, int n) {
  SCOPED_TRACE(testing::Message() << "n = " << n);
  Site site;
  FaultPlan& plan = site.engine.plan();
  plan.FailNth(n, FaultPlan::Counts::kAllCalls, absl::Status(code, "the disk is on fire"));
  const Answer failed = rpc.call(site);
  const bool fired = plan.count() > n;
  plan.Clear();
  if (fired) {
    EXPECT_EQ(static_cast<int>(failed.status.error_code()), static_cast<int>(code));
    EXPECT_NE(failed.status.error_message().find("the disk is on fire"), std::string::npos);
  } else {
    EXPECT_TRUE(failed.status.ok()) << failed.status.error_message();
  }
  const Answer worked = rpc.call(site);
  EXPECT_TRUE(worked.status.ok()) << worked.status.error_message();
  const Answer again = rpc.call(site);
  EXPECT_TRUE(again.status.ok()) << again.status.error_message();
  EXPECT_EQ(again.text, worked.text);
  return fired;
}

TEST_P(EngineFails, AtEachCall_AnswersItsCodeAndThenSucceeds) {
  const auto& [rpc, code] = GetParam();
  int n = 0;
  while (FailNth(rpc, code, n)) {
    ASSERT_LE(++n, rpc.engine_calls);
  }
  EXPECT_EQ(n, rpc.engine_calls) << "correct the table when this is meant";
}

INSTANTIATE_TEST_SUITE_P(
    Rpc, EngineFails,
    testing::Combine(testing::ValuesIn(kRpcs),
                     testing::Values(absl::StatusCode::kInternal, absl::StatusCode::kUnavailable,
                                     absl::StatusCode::kAborted, absl::StatusCode::kDataLoss)),
    [](const auto& test) {
      return std::string(std::get<0>(test.param).name) + "_" +
             absl::StatusCodeToString(std::get<1>(test.param));
    });

}  // namespace
}  // namespace holdfast
