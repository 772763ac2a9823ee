// Whatever arrives on the socket: a code, a sentence, and a server that goes on.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <memory>
#include <random>
#include <thread>

#include "os/unique_fd.h"
#include "tests/integration/integration_test.h"
#include "tests/integration/pool_space.h"
#include "volume/ids.h"

namespace holdfast {
namespace {

constexpr auto kMalformed = absl::StatusCode::kInvalidArgument;
constexpr auto kUnknown = absl::StatusCode::kNotFound;

class BadInputTest : public IntegrationTest {
 protected:
  BadInputTest() : IntegrationTest(PoolKind::kXfs, 3 * kGiB) {}

  static csi::v1::CreateVolumeRequest LawfulRequest(const std::string& name) {
    csi::v1::CreateVolumeRequest request;
    request.set_name(name);
    request.mutable_capacity_range()->set_required_bytes(1 << 20);
    *request.add_volume_capabilities() = CapabilityOf(Claim{.content = Content::kBlock});
    return request;
  }

  absl::StatusCode CodeOf(const csi::v1::CreateVolumeRequest& request) {
    return csi().Call(request).status().code();
  }

  void ExpectAlive() { EXPECT_OK(csi().Call(csi::v1::ProbeRequest())); }
};

std::vector<std::string> StrangeIds() {
  return {"..",
          "../../etc/passwd",
          "/",
          "/etc/passwd",
          std::string("vol\0id", 6),
          std::string(129, 'v'),
          std::string(100000, 'v'),
          "vol-",
          "vol-00000000000000000000000000000000-00000000000000000000000000000000",
          "snap-00000000000000000000000000000000-00000000000000000000000000000000",
          "vol-../../../../../../../../../../../-../../../../../../../../../../../",
          "%s%n",
          "'; DROP TABLE volumes; --",
          "\n\r\t",
          "\xe2\x80\xae"};
}

TEST_F(BadInputTest, CreateVolume_Malformed_IsInvalidArgument_AndMakesNothing) {
  using Request = csi::v1::CreateVolumeRequest;
  const std::vector<std::function<void(Request&)>> faults = {
      [](Request& r) { r.clear_name(); },
      [](Request& r) { r.set_name(std::string(129, 'n')); },
      [](Request& r) { r.set_name("a\nb"); },
      [](Request& r) { r.set_name(std::string("a\0b", 3)); },
      [](Request& r) { r.clear_volume_capabilities(); },
      [](Request& r) { r.mutable_volume_capabilities(0)->clear_access_mode(); },
      [](Request& r) { r.mutable_volume_capabilities(0)->clear_block(); },
      [](Request& r) { r.mutable_volume_capabilities(0)->mutable_mount()->set_fs_type("ntfs"); },
      [](Request& r) { *r.add_volume_capabilities() = CapabilityOf(Claim{}); },
      [](Request& r) { r.mutable_capacity_range()->set_required_bytes(-1); },
      [](Request& r) { r.mutable_capacity_range()->set_limit_bytes(INT64_MIN); },
      [](Request& r) { (*r.mutable_parameters())["unheard"] = "of"; },
      [](Request& r) { (*r.mutable_parameters())["pool"] = std::string(5000, 'p'); },
      [](Request& r) { (*r.mutable_parameters())["provisioning"] = "thickish"; },
      [](Request& r) { (*r.mutable_parameters())["rootMode"] = "0999"; },
      [](Request& r) { (*r.mutable_parameters())["rootOwner"] = "root"; },
      [](Request& r) { (*r.mutable_parameters())["reserve"] = "-5"; },
      [](Request& r) { (*r.mutable_parameters())["pool"] = "nowhere"; },
      [](Request& r) { (*r.mutable_mutable_parameters())["iops"] = "1"; },
      [](Request& r) { r.mutable_volume_content_source(); },
      [](Request& r) {
        for (int i = 0; i < 5000; ++i) (*r.mutable_secrets())["k" + std::to_string(i)] = "v";
      },
  };
  for (size_t i = 0; i < faults.size(); ++i) {
    Request request = LawfulRequest("lawful");
    faults[i](request);
    EXPECT_TRUE(Refused(csi().Call(request), kMalformed)) << "fault " << i;
  }
  Request request = LawfulRequest("lawful");
  request.mutable_capacity_range()->set_required_bytes(INT64_MAX);
  EXPECT_EQ(CodeOf(request), absl::StatusCode::kOutOfRange);
  request.mutable_capacity_range()->set_required_bytes(2 << 20);
  request.mutable_capacity_range()->set_limit_bytes(1 << 20);
  EXPECT_EQ(CodeOf(request), absl::StatusCode::kOutOfRange);
  ASSERT_OK_AND_ASSIGN(const auto list, csi().Call(csi::v1::ListVolumesRequest()));
  EXPECT_EQ(list.entries_size(), 0);
}

TEST_F(BadInputTest, NamesOfAnyUnicode_AreVolumes_AndNeverFileNames) {
  for (const std::string& name :
       {std::string("../../up"), std::string("/"), std::string("."), std::string(128, 'n'),
        std::string("ж🦊 名前"), std::string("a b'c\"d;e$f`g")}) {
    csi::v1::CreateVolumeRequest request = LawfulRequest(name);
    ASSERT_OK_AND_ASSIGN(const auto made, csi().Call(request));
    EXPECT_EQ(made.volume().volume_id().find('/'), std::string::npos);
    EXPECT_LE(made.volume().volume_id().size(), 128u);
    ExpectNothingHalfDone();
    ASSERT_OK(Delete(Claim{.id = made.volume().volume_id()}));
  }
}

TEST_F(BadInputTest, StrangeIds_AreUnknown_InEveryCall) {
  const std::string path = driver().kubelet() + "/x";
  for (const std::string& id : StrangeIds()) {
    SCOPED_TRACE(id.substr(0, 40));
    const Claim claim{.id = id, .content = Content::kBlock};
    EXPECT_OK(Delete(claim));
    EXPECT_OK(DeleteSnapshot(id));
    Claim grown = claim;
    EXPECT_TRUE(Refused(Expand(grown, 1 << 20), kUnknown));
    EXPECT_TRUE(Refused(Snapshot(claim, "of-strange"), kUnknown));
    EXPECT_TRUE(Refused(ExpandOnNode(claim, "relative"), kUnknown));
    csi::v1::NodeStageVolumeRequest stage;
    stage.set_volume_id(id);
    stage.set_staging_target_path(path);
    *stage.mutable_volume_capability() = CapabilityOf(claim);
    EXPECT_TRUE(Refused(csi().Call(stage), kUnknown));
    csi::v1::NodeUnpublishVolumeRequest unpublish;
    unpublish.set_volume_id(id);
    unpublish.set_target_path(path);
    // Of a volume that may have been there once nothing is left at that path; kubelet asks until
    // OK.
    const auto unpublished = csi().Call(unpublish);
    const auto parsed = ParseId(id);
    if (parsed && parsed->kind == ObjectKind::kVolume) {
      EXPECT_OK(unpublished);
    } else {
      EXPECT_TRUE(Refused(unpublished, kUnknown));
    }
    csi::v1::ListSnapshotsRequest list;
    list.set_snapshot_id(id);
    const auto listed = csi().Call(list);
    ASSERT_OK(listed);
    EXPECT_EQ(listed->entries_size(), 0);
    csi::v1::CreateVolumeRequest clone = LawfulRequest("clone");
    clone.mutable_volume_content_source()->mutable_volume()->set_volume_id(id);
    EXPECT_TRUE(Refused(csi().Call(clone), kUnknown));
  }
  ExpectAlive();
}

TEST_F(BadInputTest, MissingAndOverlongFields_OfNodeCalls_AreInvalidArgument) {
  EXPECT_TRUE(Refused(csi().Call(csi::v1::NodeStageVolumeRequest()), kMalformed));
  EXPECT_TRUE(Refused(csi().Call(csi::v1::NodeUnstageVolumeRequest()), kMalformed));
  EXPECT_TRUE(Refused(csi().Call(csi::v1::NodePublishVolumeRequest()), kMalformed));
  EXPECT_TRUE(Refused(csi().Call(csi::v1::NodeUnpublishVolumeRequest()), kMalformed));
  EXPECT_TRUE(Refused(csi().Call(csi::v1::NodeGetVolumeStatsRequest()), kMalformed));
  EXPECT_TRUE(Refused(csi().Call(csi::v1::NodeExpandVolumeRequest()), kMalformed));
  csi::v1::NodeStageVolumeRequest stage;
  stage.set_volume_id("vol-x");
  *stage.mutable_volume_capability() = CapabilityOf(Claim{});
  for (const std::string& path :
       {std::string("/") + std::string(5000, 'p'), std::string("/a\0b", 4), std::string("a/b")}) {
    stage.set_staging_target_path(path);
    EXPECT_TRUE(Refused(csi().Call(stage), kMalformed));
  }
  csi::v1::ListVolumesRequest list;
  list.set_max_entries(-1);
  EXPECT_TRUE(Refused(csi().Call(list), kMalformed));
  list.set_max_entries(1);
  list.set_starting_token("garbage");
  EXPECT_TRUE(Refused(csi().Call(list), absl::StatusCode::kAborted));
}

TEST_F(BadInputTest, BytesThatAreNoUtf8_MakeNothing) {
  for (const std::string& bytes : {std::string("\xff\xfe"), std::string("a\xc0\xaf"),
                                   std::string("\xed\xa0\x80"), std::string("\xf5\x80\x80\x80")}) {
    EXPECT_FALSE(csi().Call(LawfulRequest(bytes)).ok());
    csi::v1::CreateVolumeRequest request = LawfulRequest("lawful");
    (*request.mutable_parameters())["pool"] = bytes;
    EXPECT_FALSE(csi().Call(request).ok());
    EXPECT_EQ(csi().Call(csi::v1::ListVolumesRequest())->entries_size(), 0);
  }
  ExpectAlive();
}

TEST_F(BadInputTest, NameOfTenMegabytes_IsRefused_AndTheServerLives) {
  const absl::Status refused = csi().Call(LawfulRequest(std::string(10 << 20, 'n'))).status();
  EXPECT_FALSE(refused.ok());
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;  // gRPC's own
  EXPECT_EQ(CodeOf(LawfulRequest(std::string(3 << 20, 'n'))), kMalformed);
  EXPECT_LT(driver().Log().size(), 100'000u) << "the name is in the log";
  ExpectAlive();
}

TEST_F(BadInputTest, RandomBytesOnTheSocket_DoNotEndTheServer) {
  std::mt19937_64 random(20261123);
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  for (int i = 0; i < 100; ++i) {
    const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::strncpy(address.sun_path, driver().socket().c_str(), sizeof(address.sun_path) - 1);
    ASSERT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    std::string bytes = i % 2 == 0 ? preface : "";
    if (i % 4 == 0) bytes += std::string("\0\0\0\4\0\0\0\0\0", 9);  // SETTINGS
    const size_t length = 1 + random() % 20000;
    for (size_t k = 0; k < length; ++k) bytes += static_cast<char>(random());
    send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  ExpectAlive();
  EXPECT_OK(csi().Call(csi::v1::ListVolumesRequest()));
}

// What a crowd of callers makes of two dozen names, half of which are volumes already.
class CrowdTest : public BadInputTest {
 protected:
  static constexpr int kCalls = 1000;
  static constexpr int kConnections = 50;  // the server takes 64 calls from each
  static constexpr int kNames = 24;
  static constexpr int kMostRepeats = 1000;

  static std::string NameOf(int call) { return "parallel-" + std::to_string(call % kNames); }

  void MakeSomeVolumes() {
    for (int i = 0; i < kNames; ++i) {
      const auto made = csi().Call(LawfulRequest(NameOf(i)));
      ASSERT_OK(made);
      ids_.push_back(made->volume().volume_id());
      if (i % 2 != 0) ASSERT_OK(Delete(Claim{.id = ids_.back()}));
    }
  }

  // Two thirds of the calls of each name create it, the others delete it or cut it.
  absl::Status Call(CsiClient& client, int call) const {
    const std::string& id = ids_[static_cast<size_t>(call % kNames)];
    const int kind = call / kNames % 6;
    if (kind < 4) return client.Call(LawfulRequest(NameOf(call))).status();
    if (kind == 4) {
      csi::v1::DeleteVolumeRequest request;
      request.set_volume_id(id);
      return client.Call(request).status();
    }
    csi::v1::CreateSnapshotRequest request;
    request.set_name("of-" + NameOf(call));
    request.set_source_volume_id(id);
    absl::Status status = client.Call(request).status();
    // Another caller may have deleted it by now.
    return status.code() == kUnknown ? absl::OkStatus() : status;
  }

  // The answer is counted; whether to come again, as the sidecars do.
  bool Count(const absl::Status& answer) {
    if (answer.ok()) {
      ++done_;
    } else if (absl::IsAborted(answer)) {
      ++aborted_;
    } else if (absl::IsUnavailable(answer)) {
      ++busy_;
    } else {
      ADD_FAILURE() << answer;
    }
    return absl::IsAborted(answer) || absl::IsUnavailable(answer);
  }

  // Every call is sent before one is answered: the server is held still until then.
  void CallAllAtOnce() {
    std::vector<std::unique_ptr<CsiClient>> clients;
    for (int i = 0; i < kConnections; ++i) {
      clients.push_back(std::make_unique<CsiClient>(driver().socket()));
      ASSERT_OK(clients.back()->Call(csi::v1::ProbeRequest()));  // it is connected
    }
    driver().child().Signal(SIGSTOP);
    std::atomic<int> sent{0}, answered{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kCalls; ++t) {
      threads.emplace_back([&, t] {
        CsiClient& client = *clients[static_cast<size_t>(t % kConnections)];
        ++sent;
        absl::Status answer = Call(client, t);
        ++answered;
        for (int i = 0; Count(answer) && i < kMostRepeats; ++i) {
          std::this_thread::sleep_for(std::chrono::milliseconds(50));
          answer = Call(client, t);
        }
      });
    }
    while (sent < kCalls) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::this_thread::sleep_for(std::chrono::seconds(1));  // the last one, from there to the socket
    EXPECT_EQ(answered, 0);
    driver().child().Signal(SIGCONT);
    for (std::thread& thread : threads) thread.join();
  }

  std::vector<std::string> ids_;
  std::atomic<int> done_{0}, aborted_{0}, busy_{0};
};

TEST_F(CrowdTest, AThousandCallsInFlight_AreOkAbortedOrUnavailable_AndLeaveAConsistentState) {
  ASSERT_NO_FATAL_FAILURE(MakeSomeVolumes());
  ASSERT_NO_FATAL_FAILURE(CallAllAtOnce());
  std::cout << done_ << " done, " << aborted_ << " aborted, " << busy_ << " told to come again\n";
  EXPECT_EQ(done_, kCalls) << "a caller that came again was never served";
  EXPECT_GT(aborted_, 0) << "nobody met anybody";
  ExpectNothingHalfDone();
  EXPECT_TRUE(KeepsItsPromises(pool()));
  ASSERT_OK_AND_ASSIGN(const auto volumes, csi().Call(csi::v1::ListVolumesRequest()));
  EXPECT_LE(volumes.entries_size(), kNames);
  for (const auto& entry : volumes.entries()) {
    ASSERT_OK(Delete(Claim{.id = entry.volume().volume_id()}));
  }
  ASSERT_OK_AND_ASSIGN(const auto snapshots, csi().Call(csi::v1::ListSnapshotsRequest()));
  for (const auto& entry : snapshots.entries()) {
    ASSERT_OK(DeleteSnapshot(entry.snapshot().snapshot_id()));
  }
}

}  // namespace
}  // namespace holdfast
