// The server as a process: how it starts, refuses to start, is killed, ends, and is watched.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <thread>

#include "os/unique_fd.h"
#include "tests/integration/integration_test.h"
#include "tests/integration/pool_space.h"

namespace holdfast {
namespace {

constexpr int kRefusedToStart = 2;

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

class ProcessTest : public IntegrationTest {
 protected:
  // Exit 2 and one line that has `word`.
  static void ExpectOneLine(const Ended& ended, const std::string& word) {
    EXPECT_EQ(ended.exit_code, kRefusedToStart) << ended.output;
    EXPECT_EQ(std::count(ended.output.begin(), ended.output.end(), '\n'), 1) << ended.output;
    EXPECT_NE(ended.output.find(word), std::string::npos) << ended.output;
    EXPECT_TRUE(ended.output.starts_with("holdfast: ")) << ended.output;
  }

  static Ended ExecuteWith(const std::string& variable, std::vector<std::string> argv) {
    argv.insert(argv.begin(), {"env", variable});
    return Execute(argv);
  }

  static uint16_t FreePort() {
    const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = Loopback(0);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    return ntohs(address.sin_port);
  }

  static std::string Get(uint16_t port, const std::string& path) {
    const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = Loopback(port);
    if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
      return "";
    }
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
    send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL);
    std::string answer;
    char buffer[4096];
    for (ssize_t got; (got = read(fd.get(), buffer, sizeof(buffer))) > 0;) {
      answer.append(buffer, static_cast<size_t>(got));
    }
    return answer;
  }

  static csi::v1::CreateVolumeRequest RequestFor(const std::string& name, Content content) {
    csi::v1::CreateVolumeRequest request;
    request.set_name(name);
    request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(SmallestOf(content)));
    *request.add_volume_capabilities() = CapabilityOf(Claim{.content = content});
    return request;
  }

  // Asks for volumes until told to stop; those that were answered with OK by name.
  void CreateUntil(const std::atomic<bool>& stop, const std::string& prefix,
                   std::map<std::string, std::string>& made) {
    CsiClient client(driver().socket());
    for (int i = 0; !stop && i < 1000; ++i) {
      const std::string name = prefix + std::to_string(i);
      const auto answer =
          client.Call(RequestFor(name, i % 2 == 0 ? Content::kExt4 : Content::kBlock));
      if (!answer.ok()) return;
      made[name] = answer->volume().volume_id();
    }
  }

  // Every acknowledged volume is there, nothing half-made is; then they go.
  void ExpectThereAndDelete(const std::map<std::string, std::string>& made) {
    ExpectNothingHalfDone();
    EXPECT_EQ(LoopsBelow(folder()).size(), 1u);
    EXPECT_TRUE(KeepsItsPromises(pool()));
    for (const auto& [name, id] : made) {
      csi::v1::ControllerGetVolumeRequest request;
      request.set_volume_id(id);
      const auto found = csi().Call(request);
      EXPECT_TRUE(found.ok()) << name << ": " << found.status();
    }
    const auto list = csi().Call(csi::v1::ListVolumesRequest());
    ASSERT_OK(list);
    for (const auto& entry : list->entries()) {
      ASSERT_OK(Delete(Claim{.id = entry.volume().volume_id()}));
    }
  }
};

// Whoever reads a catalog or an image reads every volume. -wal and -shm are there while it serves.
TEST_F(ProcessTest, WhatLiesInAPool_IsItsOwnersAlone) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "private"}));
  const ScratchDisk& second = AddDisk("second", kGiB, MkfsOf(PoolKind::kXfs));
  const std::string open = "umask 0 && exec \"$@\"";
  MustRun({"sh", "-c", open, "sh", ProgramPath("holdfastctl"), "pool", "init", second.path()});
  for (const std::string& path : {pool(), second.path()}) {
    EXPECT_EQ(MustRun({"find", path, "-mindepth", "1", "-perm", "/077"}), "");
    EXPECT_EQ(MustRun({"stat", "-c", "%a", path + "/catalog.db"}), "600");
    EXPECT_EQ(MustRun({"stat", "-c", "%a", path + "/volumes"}), "700");
  }
  EXPECT_TRUE(std::filesystem::exists(pool() + "/catalog.db-wal"));
  ASSERT_OK(Delete(claim));
}

TEST_F(ProcessTest, WhatStandsInTheWayOfAStart_IsOneLineAndExitTwo) {
  const std::string program = ProgramPath("holdfast");
  ExpectOneLine(Execute({program, "all", "--pol", pool()}), "--pol");
  ExpectOneLine(Execute({program}), "");
  ExpectOneLine(Execute({program, "some"}), "some");
  ExpectOneLine(Execute({program, "all"}), "--pool");
  ExpectOneLine(Execute({program, "controller"}), "--tls-ca");
  ExpectOneLine(Execute({program, "node"}), "--pool");
  ExpectOneLine(Execute({program, "node", "--pool", pool()}), "--tls-ca");
  ExpectOneLine(Execute({program, "all", "--pool", pool(), "--trash-grace", "soon"}),
                "--trash-grace");
  ExpectOneLine(Execute({program, "all", "--pool", pool(), "--endpoint", "tcp://0:1"}), "tcp");
  ExpectOneLine(ExecuteWith("HOLDFAST_POOLS=/x", driver().CommandLine()), "HOLDFAST_POOLS");
  // The socket of a server that lives; the server is not disturbed.
  ExpectOneLine(Execute(driver().CommandLine()), driver().socket());
  EXPECT_OK(csi().Call(csi::v1::ProbeRequest()));
  const Ended help = Execute({program, "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.output.find("--pool"), std::string::npos);
}

TEST_F(ProcessTest, SocketLeftByAKilledServer_IsTakenOver) {
  driver().Kill();
  EXPECT_TRUE(std::filesystem::exists(driver().socket()));
  KillAndRestart();
  EXPECT_OK(csi().Call(csi::v1::ProbeRequest()));
}

TEST_F(ProcessTest, Sigterm_EndsCallsInFlightInOrder) {
  std::atomic<bool> stop{false};
  std::vector<std::map<std::string, std::string>> made(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < made.size(); ++i) {
    threads.emplace_back(
        [&, i] { CreateUntil(stop, "ending-" + std::to_string(i) + "-", made[i]); });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  EXPECT_EQ(driver().Stop(), 0);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  const std::string log = driver().Log();
  EXPECT_NE(log.find("no new calls"), std::string::npos);
  EXPECT_NE(log.find("stopped"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(driver().socket())) << "its socket is still there";
  EXPECT_EQ(LoopsBelow(folder()).size(), 1u);
  ExpectNothingHalfDone();  // no recovery was needed
  std::map<std::string, std::string> all;
  for (const auto& some : made) all.insert(some.begin(), some.end());
  EXPECT_FALSE(all.empty());
  KillAndRestart();
  ExpectThereAndDelete(all);
}

TEST_F(ProcessTest, KilledAtRandomMoments_LeavesNothingHalfDone) {
  const uint64_t seed = std::random_device()();
  std::cout << "seed " << seed << '\n';
  std::mt19937_64 random(seed);
  int acknowledged = 0;
  for (int round = 0; round < 10; ++round) {
    SCOPED_TRACE("round " + std::to_string(round) + " of seed " + std::to_string(seed));
    std::atomic<bool> stop{false};
    std::vector<std::map<std::string, std::string>> made(2);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < made.size(); ++i) {
      threads.emplace_back(
          [&, i] { CreateUntil(stop, "killed-" + std::to_string(i) + "-", made[i]); });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + random() % 400));
    driver().Kill();
    stop = true;
    for (std::thread& thread : threads) thread.join();
    KillAndRestart();
    made[0].insert(made[1].begin(), made[1].end());
    acknowledged += static_cast<int>(made[0].size());
    ExpectThereAndDelete(made[0]);
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(acknowledged, 0) << "no kill came after an answer";
}

TEST_F(ProcessTest, Secrets_AreNeverInTheLog_AndEachCallIsOneLine) {
  driver().flags() = {"--log-level", "debug"};
  Restart();
  const size_t before = driver().Log().size();
  csi::v1::CreateVolumeRequest request = RequestFor("logged", Content::kExt4);
  (*request.mutable_secrets())["key"] = "hunter2-create";
  ASSERT_OK_AND_ASSIGN(const auto made, csi().Call(request));
  csi::v1::NodeStageVolumeRequest stage;
  stage.set_volume_id(made.volume().volume_id());
  stage.set_staging_target_path("/outside");
  *stage.mutable_volume_capability() = CapabilityOf(Claim{});
  (*stage.mutable_secrets())["key"] = "hunter2-stage";
  (*stage.mutable_volume_context())["csi.storage.k8s.io/serviceAccount.tokens"] = "hunter2-token";
  EXPECT_FALSE(csi().Call(stage).ok());
  csi::v1::DeleteVolumeRequest remove;
  remove.set_volume_id(made.volume().volume_id());
  (*remove.mutable_secrets())["key"] = "hunter2-delete";
  EXPECT_OK(csi().Call(remove));

  const std::string log = driver().Log().substr(before);
  EXPECT_EQ(log.find("hunter2"), std::string::npos) << log;
  for (const char* line : {" CreateVolume ", " NodeStageVolume ", " DeleteVolume "}) {
    const size_t at = log.find(line);
    ASSERT_NE(at, std::string::npos) << line;
    EXPECT_EQ(log.find(line, at + 1), std::string::npos) << line << "has a second line";
    const std::string rest = log.substr(at, log.find('\n', at) - at);
    EXPECT_NE(rest.find("volume=" + made.volume().volume_id()), std::string::npos) << rest;
    EXPECT_NE(rest.find("code="), std::string::npos) << rest;
    EXPECT_NE(rest.find("ms="), std::string::npos) << rest;
  }
}

TEST_F(ProcessTest, HttpPages_TellHealthReadinessAndNumbers) {
  const uint16_t port = FreePort();
  driver().flags() = {"--http-listen", "127.0.0.1:" + std::to_string(port)};
  Restart();
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "counted", .content = Content::kBlock}));
  ASSERT_OK(Snapshot(claim, "counted-too"));
  EXPECT_FALSE(Expand(*std::make_unique<Claim>(claim), kTiB).ok());
  EXPECT_TRUE(Get(port, "/healthz").starts_with("HTTP/1.1 200")) << Get(port, "/healthz");
  EXPECT_TRUE(Get(port, "/readyz").starts_with("HTTP/1.1 200")) << Get(port, "/readyz");
  EXPECT_TRUE(Get(port, "/secrets").starts_with("HTTP/1.1 404"));
  const std::string metrics = Get(port, "/metrics");
  for (const char* line :
       {"holdfast_csi_calls_total{code=\"OK\",method=\"CreateVolume\"} 1",
        "holdfast_csi_calls_total{code=\"OUT_OF_RANGE\",method=\"ControllerExpandVolume\"} 1",
        "holdfast_csi_call_seconds_count{method=\"CreateSnapshot\"} 1",
        "holdfast_snapshot_seconds_count 1", "holdfast_volumes{pool=\"main\"} 1",
        "holdfast_snapshots{pool=\"main\"} 1", "holdfast_pool_served{pool=\"main\"} 1",
        "holdfast_pool_size_bytes{pool=\"main\"} ", "holdfast_pool_used_bytes{pool=\"main\"} ",
        "holdfast_pool_owed_bytes{pool=\"main\"} ", "holdfast_pool_floor_bytes{pool=\"main\"} ",
        "holdfast_snapshot_extents{pool=\"main\"} "}) {
    EXPECT_NE(metrics.find(line), std::string::npos) << "no line '" << line << "' in " << metrics;
  }
}

TEST_F(ProcessTest, WithoutAnyPool_IsNotReady_AndSaysWhy) {
  const uint16_t port = FreePort();
  EXPECT_EQ(driver().Stop(), 0);
  std::filesystem::create_directory(folder() + "/lonely");
  DriverProcess lonely(folder() + "/lonely", {folder() + "/nowhere"});
  lonely.flags() = {"--http-listen", "127.0.0.1:" + std::to_string(port)};
  ASSERT_TRUE(lonely.Start()) << lonely.Log();
  CsiClient client(lonely.socket());
  EXPECT_TRUE(Refused(client.Call(csi::v1::ProbeRequest()), absl::StatusCode::kFailedPrecondition,
                      {"nowhere"}));
  EXPECT_TRUE(Get(port, "/readyz").starts_with("HTTP/1.1 503"));
  EXPECT_TRUE(Get(port, "/healthz").starts_with("HTTP/1.1 200"));
  EXPECT_EQ(lonely.Stop(), 0);
}

}  // namespace
}  // namespace holdfast
