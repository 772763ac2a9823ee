// For every RPC that only reads and every n: the n-th call of host or catalog fails. The call must
// answer with the fault's sentence, or with the whole answer when it did not need what failed; the
// repeat, of the same driver or of the next, gives the answer of before, and nothing has changed.
// RPCs that ask neither host nor catalog are held to that instead.
#include <spdlog/spdlog.h>

#include <functional>

#include "gtest/gtest.h"
#include "identity/identity_service.h"
#include "serving.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

constexpr int kMostCalls = 100;

struct Answer {
  grpc::Status status;
  std::string text;
};

template <class Service, class Request, class Response>
Answer Ask(Service& service,
           grpc::Status (Service::*rpc)(grpc::ServerContext*, const Request*, Response*),
           const Request& request) {
  Response response;
  const grpc::Status status = (service.*rpc)(nullptr, &request, &response);
  return {status, response.DebugString()};
}

std::string IdOf(Rig& rig, ObjectKind kind, const std::string& name) {
  return MakeId(kind, rig.engine->pools().front()->uuid(), name);
}

// "a" (ext4) and "b" (raw block) are published, "s" is a snapshot of "a".
void Prepare(Rig& rig) {
  const std::string a = rig.MustCreate("a");
  ASSERT_TRUE(rig.Stage(a).ok());
  ASSERT_TRUE(rig.Publish(a).ok());
  ASSERT_TRUE(rig.Snapshot("s", a).ok());
  const std::string b = rig.MustCreate("b", "block");
  ASSERT_TRUE(rig.Stage(b, "block").ok());
  ASSERT_TRUE(rig.Publish(b, "block-pod", "block").ok());
}

Answer Stats(Rig& rig, const std::string& name, const std::string& path) {
  csi::v1::NodeGetVolumeStatsRequest request;
  request.set_volume_id(IdOf(rig, ObjectKind::kVolume, name));
  request.set_volume_path(path);
  return Ask(*rig.node, &NodeService::NodeGetVolumeStats, request);
}
Answer Validate(Rig& rig) {
  csi::v1::ValidateVolumeCapabilitiesRequest request;
  request.set_volume_id(IdOf(rig, ObjectKind::kVolume, "a"));
  *request.add_volume_capabilities() = CapabilityOf("ext4");
  return Ask(*rig.controller, &ControllerService::ValidateVolumeCapabilities, request);
}
Answer GetVolume(Rig& rig) {
  csi::v1::ControllerGetVolumeRequest request;
  request.set_volume_id(IdOf(rig, ObjectKind::kVolume, "a"));
  return Ask(*rig.controller, &ControllerService::ControllerGetVolume, request);
}
Answer GetSnapshot(Rig& rig) {
  csi::v1::GetSnapshotRequest request;
  request.set_snapshot_id(IdOf(rig, ObjectKind::kSnapshot, "s"));
  return Ask(*rig.controller, &ControllerService::GetSnapshot, request);
}
Answer Capacity(Rig& rig) {
  csi::v1::GetCapacityRequest request;
  *request.add_volume_capabilities() = CapabilityOf("ext4");
  return Ask(*rig.controller, &ControllerService::GetCapacity, request);
}
Answer Volumes(Rig& rig) {
  return Ask(*rig.controller, &ControllerService::ListVolumes, csi::v1::ListVolumesRequest());
}
Answer Snapshots(Rig& rig) {
  return Ask(*rig.controller, &ControllerService::ListSnapshots, csi::v1::ListSnapshotsRequest());
}

struct Scenario {
  const char* name;
  std::function<Answer(Rig&)> ask;
  bool asks_host;  // every one asks the catalog
};
const Scenario kScenarios[] = {
    {"NodeGetVolumeStats", [](Rig& rig) { return Stats(rig, "a", rig.TargetPath("pod")); }, true},
    {"NodeGetVolumeStatsOfStagingPath",
     [](Rig& rig) { return Stats(rig, "a", rig.StagingPath(IdOf(rig, ObjectKind::kVolume, "a"))); },
     true},
    {"NodeGetVolumeStatsOfBlock",
     [](Rig& rig) { return Stats(rig, "b", rig.TargetPath("block-pod")); }, true},
    {"ValidateVolumeCapabilities", Validate, false},
    {"ControllerGetVolume", GetVolume, false},
    {"GetSnapshot", GetSnapshot, false},
    {"ListVolumes", Volumes, false},
    {"ListSnapshots", Snapshots, false},
    {"GetCapacity", Capacity, true},
};

// What all of them answer, and what the machine has.
std::string StateOf(Rig& rig) {
  std::string state;
  for (const Scenario& scenario : kScenarios) {
    const Answer answer = scenario.ask(rig);
    EXPECT_TRUE(answer.status.ok()) << scenario.name << ": " << answer.status.error_message();
    state += answer.text;
  }
  for (const char* folder : {"volumes", "snapshots", "trash", "work"}) {
    for (const std::string& file : rig.machine.FilesIn(std::string("/pool/") + folder)) {
      state += fmt::format("{}/{}\n", folder, file);
    }
  }
  return state + fmt::format("{} loops, {} mounts, {} frozen, {} free\n",
                             rig.machine.OpenLoops().size(), rig.machine.MountCount(),
                             rig.machine.FrozenCount(), rig.machine.FreeBytes("/pool"));
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
    {"Catalog", Which::kCatalog, false, false},
    {"CatalogThenRestart", Which::kCatalog, true, false},
    {"CatalogForGood", Which::kCatalog, false, true},
};

class ReadingCall : public testing::TestWithParam<std::tuple<Scenario, Mode>> {};

// Returns false when the call needs no n-th call: all n are done.
bool FailNth(const Scenario& scenario, const Mode& mode, int n) {
  SCOPED_TRACE(testing::Message() << "n = " << n);
  Rig rig;
  Prepare(rig);
  const std::string before = scenario.ask(rig).text;
  const std::string state = StateOf(rig);
  rig.Restart();  // what the answers above left in memory would spare the catalog
  FaultPlan& plan = mode.which == Which::kHost ? rig.host.plan() : rig.catalog_plan;
  plan.FailNth(n, FaultPlan::Counts::kAllCalls, absl::InternalError("injected fault"),
               mode.persistent);
  const Answer first = scenario.ask(rig);
  const bool fired = plan.count() > n;
  SCOPED_TRACE(testing::Message() << "failed: " << plan.failed_call());
  plan.Clear();
  if (first.status.ok()) {
    EXPECT_EQ(first.text, before) << "half an answer";
  } else {
    EXPECT_TRUE(fired);
    ExpectRefused(first.status, grpc::StatusCode::INTERNAL, "injected fault");
  }
  if (mode.restart) rig.Restart();
  EXPECT_EQ(scenario.ask(rig).text, before);
  EXPECT_EQ(StateOf(rig), state);
  return fired;
}

TEST_P(ReadingCall, FailsWithTheFaultsSentence_AndChangesNothing) {
  const auto& [scenario, mode] = GetParam();
  int n = 0;
  while (FailNth(scenario, mode, n)) {
    ASSERT_LT(++n, kMostCalls);
    if (HasFailure()) return;  // the first n tells enough
  }
  const bool asks = mode.which == Which::kCatalog || scenario.asks_host;
  EXPECT_EQ(n > 0, asks) << n << " calls; correct the table when this is meant";
}

INSTANTIATE_TEST_SUITE_P(Rpc, ReadingCall,
                         testing::Combine(testing::ValuesIn(kScenarios), testing::ValuesIn(kModes)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param).name) + "_" +
                                  std::get<1>(test.param).name;
                         });

// livenessprobe and kubelet must get these answers from a driver whose pools hang.
TEST(CallsThatAskNobody, AnswerWhileEveryCallOfHostAndCatalogFails) {
  Rig rig;
  spdlog::set_level(spdlog::level::off);  // one line for each pool
  Serving serving;
  serving.Begin(*rig.engine);
  IdentityService identity([&serving] { return serving.Probe(); });
  for (FaultPlan* plan : {&rig.host.plan(), &rig.catalog_plan}) {
    plan->FailNth(0, FaultPlan::Counts::kAllCalls, absl::InternalError("injected fault"), true);
  }
  const auto probed = Ask(identity, &IdentityService::Probe, csi::v1::ProbeRequest());
  EXPECT_TRUE(probed.status.ok()) << probed.status.error_message();
  EXPECT_NE(probed.text.find("value: true"), std::string::npos) << probed.text;
  const Answer answers[] = {
      Ask(identity, &IdentityService::GetPluginInfo, csi::v1::GetPluginInfoRequest()),
      Ask(identity, &IdentityService::GetPluginCapabilities,
          csi::v1::GetPluginCapabilitiesRequest()),
      Ask(*rig.controller, &ControllerService::ControllerGetCapabilities,
          csi::v1::ControllerGetCapabilitiesRequest()),
      Ask(*rig.node, &NodeService::NodeGetCapabilities, csi::v1::NodeGetCapabilitiesRequest()),
      Ask(*rig.node, &NodeService::NodeGetInfo, csi::v1::NodeGetInfoRequest()),
  };
  for (const Answer& answer : answers) {
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    EXPECT_NE(answer.text, "");
  }
  EXPECT_EQ(rig.host.plan().count(), 0);
  EXPECT_EQ(rig.catalog_plan.count(), 0);
}

// What Probe says was asked once, when the pools were opened: a fault there is a sentence, or it
// did not matter.
TEST(CallsThatAskNobody, Probe_AfterAFaultAtTheStart_IsReadyOrSaysWhyNot) {
  spdlog::set_level(spdlog::level::off);
  Rig rig;
  Prepare(rig);
  for (FaultPlan* plan : {&rig.host.plan(), &rig.catalog_plan}) {
    const auto probe = [&] {
      rig.Restart();
      Serving serving;
      serving.Begin(*rig.engine);
      IdentityService identity([&serving] { return serving.Probe(); });
      return Ask(identity, &IdentityService::Probe, csi::v1::ProbeRequest());
    };
    int n = 0, refused = 0;
    for (bool fired = true; fired; ++n) {
      SCOPED_TRACE(n);
      ASSERT_LT(n, 4 * kMostCalls);
      plan->FailNth(n);
      const Answer failed = probe();
      fired = plan->count() > n;
      plan->Clear();
      if (!failed.status.ok()) {
        ++refused;
        ExpectRefused(failed.status, grpc::StatusCode::FAILED_PRECONDITION, "injected fault");
      }
      const Answer ready = probe();
      EXPECT_TRUE(ready.status.ok()) << ready.status.error_message();
      EXPECT_NE(ready.text.find("value: true"), std::string::npos) << ready.text;
    }
    EXPECT_GT(refused, 3) << "nothing was made to fail";
  }
}

}  // namespace
}  // namespace holdfast
