// Whatever arrives on the socket: a code, a sentence, and a server that goes on.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
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

// Fifty callers on two dozen names.
TEST_F(BadInputTest, AThousandParallelCalls_AreOkOrAborted_AndLeaveAConsistentState) {
  constexpr int kThreads = 50, kCalls = 20, kNames = 24;
  std::atomic<int> done{0}, aborted{0}, busy{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      CsiClient client(driver().socket());
      std::map<std::string, std::string> ids;
      for (int i = 0; i < kCalls; ++i) {
        const std::string name = "parallel-" + std::to_string(random() % kNames);
        absl::Status outcome;
        const unsigned dice = random() % 10;
        if (dice < 5 || ids[name].empty()) {
          const auto made = client.Call(LawfulRequest(name));
          if (made.ok()) ids[name] = made->volume().volume_id();
          outcome = made.status();
        } else if (dice < 8) {
          csi::v1::DeleteVolumeRequest request;
          request.set_volume_id(ids[name]);
          outcome = client.Call(request).status();
        } else {
          csi::v1::CreateSnapshotRequest request;
          request.set_name("of-" + name);
          request.set_source_volume_id(ids[name]);
          outcome = client.Call(request).status();
          // Another caller may have deleted it by now.
          if (outcome.code() == kUnknown) outcome = absl::OkStatus();
        }
        if (outcome.ok()) {
          ++done;
        } else if (absl::IsAborted(outcome)) {
          ++aborted;
        } else if (absl::IsUnavailable(outcome)) {
          ++busy;
        } else {
          ADD_FAILURE() << outcome;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::cout << done << " done, " << aborted << " aborted, " << busy << " told to come again\n";
  EXPECT_EQ(done + aborted + busy, kThreads * kCalls);
  EXPECT_GT(done, kNames);
  EXPECT_GT(aborted, 0) << "nobody met anybody";
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
