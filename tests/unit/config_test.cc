// The command line, the environment, and the claim on the socket's path.
#include "config.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "identity/identity_service.h"
#include "os/unix_socket.h"
#include "rpc/server.h"

namespace holdfast {
namespace {

using Environment = std::map<std::string, std::string>;

CommandLine Parse(std::vector<std::string> arguments, const Environment& environment = {}) {
  return ParseCommandLine(arguments, environment, "worker-1");
}

TEST(Config, OnlyAPool_LeavesEverythingElseAtItsDefault) {
  const CommandLine line = Parse({"all", "--pool", "/srv/pool"});
  ASSERT_TRUE(line.config) << line.text;
  const Config& config = *line.config;
  EXPECT_EQ(config.pool_paths, std::vector<std::string>{"/srv/pool"});
  EXPECT_EQ(config.socket_path, "/run/holdfast/csi.sock");
  EXPECT_EQ(config.node_id, "worker-1");
  EXPECT_EQ(config.kubelet_roots, std::vector<std::string>{"/var/lib/kubelet"});
  EXPECT_EQ(config.run_folder, "/run/holdfast");
  EXPECT_EQ(config.admin_socket, "/run/holdfast/admin.sock");
  EXPECT_EQ(config.trash_grace, std::chrono::hours(24));
  EXPECT_EQ(config.freeze_deadline, std::chrono::seconds(10));
  EXPECT_EQ(config.shutdown_timeout, std::chrono::seconds(30));
  EXPECT_EQ(config.log_level, spdlog::level::info);
  EXPECT_EQ(config.log_format, LogFormat::kText);
  EXPECT_FALSE(config.http_listen);
  EXPECT_EQ(config.max_volumes, 0);
}

TEST(Config, EachFlag_ArrivesWhereItBelongs) {
  const CommandLine line = Parse({"all",
                                  "--pool",
                                  "/a",
                                  "--pool=/b:/c",
                                  "--endpoint",
                                  "unix:///tmp/x.sock",
                                  "--node-id",
                                  "n.1",
                                  "--kubelet-root",
                                  "/k1",
                                  "--kubelet-root",
                                  "/k2",
                                  "--run-folder",
                                  "/run/x",
                                  "--admin-socket",
                                  "/run/y/admin.sock",
                                  "--trash-grace",
                                  "0",
                                  "--freeze-deadline",
                                  "1500ms",
                                  "--log-level",
                                  "debug",
                                  "--log-format",
                                  "json",
                                  "--http-listen",
                                  "127.0.0.1:9808",
                                  "--max-volumes",
                                  "12",
                                  "--kubelet-registration",
                                  "/k1/plugins_registry",
                                  "--shutdown-timeout",
                                  "1m"});
  ASSERT_TRUE(line.config) << line.text;
  const Config& config = *line.config;
  EXPECT_EQ(config.pool_paths, (std::vector<std::string>{"/a", "/b", "/c"}));
  EXPECT_EQ(config.socket_path, "/tmp/x.sock");
  EXPECT_EQ(config.node_id, "n.1");
  EXPECT_EQ(config.kubelet_roots, (std::vector<std::string>{"/k1", "/k2"}));
  EXPECT_EQ(config.run_folder, "/run/x");
  EXPECT_EQ(config.admin_socket, "/run/y/admin.sock");
  EXPECT_EQ(config.trash_grace, std::chrono::seconds(0));
  EXPECT_EQ(config.freeze_deadline, std::chrono::milliseconds(1500));
  EXPECT_EQ(config.shutdown_timeout, std::chrono::minutes(1));
  EXPECT_EQ(config.log_level, spdlog::level::debug);
  EXPECT_EQ(config.log_format, LogFormat::kJson);
  EXPECT_EQ(config.http_listen->port, 9808);
  EXPECT_EQ(config.max_volumes, 12);
  EXPECT_EQ(config.registration_socket, "/k1/plugins_registry/csi.holdfast.dev-reg.sock");
}

TEST(Config, TheEnvironment_IsReadAndTheCommandLineWins) {
  const Environment environment = {{"HOLDFAST_POOL", "/a:/b"},
                                   {"HOLDFAST_TRASH_GRACE", "1h"},
                                   {"HOLDFAST_TRIM_INTERVAL", "0"},
                                   {"HOLDFAST_NODE_ID", "from-environment"},
                                   {"HOLDFAST_HTTP_LISTEN", ""},
                                   {"CSI_ENDPOINT", "unix:///csi/csi.sock"},
                                   {"PATH", "/bin"}};
  const CommandLine line = Parse({"all", "--node-id", "from-flag"}, environment);
  ASSERT_TRUE(line.config) << line.text;
  EXPECT_EQ(line.config->pool_paths, (std::vector<std::string>{"/a", "/b"}));
  EXPECT_EQ(line.config->trash_grace, std::chrono::hours(1));
  EXPECT_EQ(line.config->trim_interval, std::chrono::seconds(0));
  EXPECT_EQ(line.config->node_id, "from-flag");
  EXPECT_EQ(line.config->socket_path, "/csi/csi.sock");
  EXPECT_FALSE(line.config->http_listen);
}

TEST(Config, HoldfastEndpoint_WinsOverCsiEndpoint) {
  const CommandLine line = Parse({"all", "--pool=/a"}, {{"CSI_ENDPOINT", "unix:///one.sock"},
                                                        {"HOLDFAST_ENDPOINT", "unix:///two.sock"}});
  ASSERT_TRUE(line.config) << line.text;
  EXPECT_EQ(line.config->socket_path, "/two.sock");
}

TEST(Config, ModesOfACluster_HaveALink) {
  const CommandLine node =
      Parse({"node", "--pool", "/a", "--tls-ca", "/c", "--tls-cert", "/d", "--tls-key", "/e",
             "--controller", "holdfast.svc:9751", "--agent-address", "10.0.0.7:9750"});
  ASSERT_TRUE(node.config) << node.text;
  EXPECT_EQ(node.config->mode, Config::Mode::kNode);
  ASSERT_TRUE(node.config->link);
  EXPECT_EQ(node.config->link->controller.host, "holdfast.svc");
  EXPECT_EQ(node.config->link->controller.port, 9751);
  EXPECT_EQ(node.config->link->address, "10.0.0.7:9750");
  EXPECT_EQ(node.config->link->listen.port, 9750);
  const CommandLine controller =
      Parse({"controller", "--tls-ca", "/c", "--tls-cert", "/d", "--tls-key", "/e"});
  ASSERT_TRUE(controller.config) << controller.text;
  EXPECT_EQ(controller.config->mode, Config::Mode::kController);
  EXPECT_EQ(controller.config->link->tls.private_key, "/e");
  EXPECT_EQ(controller.config->link->listen.port, 9751);
  EXPECT_FALSE(Parse({"all", "--pool", "/a"}).config->link);
}

struct Mistake {
  std::vector<std::string> arguments;
  const char* says;
  Environment environment;
};

TEST(Config, EveryMistake_IsOneLineThatNamesItAndExitTwo) {
  const std::vector<Mistake> mistakes = {
      {{}, "mode", {}},
      {{"everything"}, "expected all, controller or node", {}},
      {{"controller"}, "--tls-ca", {}},
      {{"controller", "--pool", "/a"}, "--pool: not used by mode controller", {}},
      {{"controller", "--node-id", "n"}, "--node-id: not used by mode controller", {}},
      {{"controller", "--tls-ca", "/c", "--tls-cert", "relative"}, "--tls-cert", {}},
      {{"controller", "--tls-ca", "/c", "--tls-cert", "/d", "--tls-key", "/e", "--registry-listen",
        "nowhere"},
       "--registry-listen",
       {}},
      {{"node"}, "--pool: expected at least one folder", {}},
      {{"node", "--pool", "/a", "--tls-ca", "/c", "--tls-cert", "/d", "--tls-key", "/e"},
       "--controller",
       {}},
      {{"node", "--pool", "/a", "--tls-ca", "/c", "--tls-cert", "/d", "--tls-key", "/e",
        "--controller", "h:0"},
       "--controller: expected a port",
       {}},
      {{"all", "--pool", "/a", "--controller", "h:1"}, "--controller: not used by mode all", {}},
      {{"all", "--pool", "/a"}, "--tls-ca", {{"HOLDFAST_TLS_CA", "/c"}}},
      {{"all"}, "--pool: expected at least one folder", {}},
      {{"all", "--pool"}, "--pool", {}},
      {{"all", "--pool", "relative"}, "absolute path", {}},
      {{"all", "--pool", "/a", "--pool", "/a"}, "twice", {}},
      {{"all", "--pool", "/a", "--frobnicate"}, "--frobnicate", {}},
      {{"all", "--pool", "/a", "surplus"}, "surplus", {}},
      {{"all", "--pool", "/a", "--endpoint", "tcp://1.2.3.4:5"}, "unix:///", {}},
      {{"all", "--pool", "/a", "--endpoint", "unix://relative"}, "unix:///", {}},
      {{"all", "--pool", "/a", "--endpoint", "unix:///" + std::string(200, 'x')}, "107", {}},
      {{"all", "--pool", "/a", "--trash-grace", "soon"}, "--trash-grace", {}},
      {{"all", "--pool", "/a", "--trash-grace", "-1h"}, "--trash-grace", {}},
      {{"all", "--pool", "/a", "--trim-interval", "500ms"}, "expected 0 or at least 1s", {}},
      {{"all", "--pool", "/a", "--freeze-deadline", "0"}, "--freeze-deadline", {}},
      {{"all", "--pool", "/a", "--freeze-deadline", "2h"}, "--freeze-deadline", {}},
      {{"all", "--pool", "/a", "--log-level", "loud\nvery"}, "--log-level", {}},
      {{"all", "--pool", "/a", "--log-format", "xml"}, "--log-format", {}},
      {{"all", "--pool", "/a", "--http-listen", "nowhere"}, "--http-listen", {}},
      {{"all", "--pool", "/a", "--kubelet-registration", "here"}, "--kubelet-registration", {}},
      {{"all", "--pool", "/a", "--kubelet-registration", "/" + std::string(90, 'k')},
       "--kubelet-registration: endpoint",
       {}},
      {{"all", "--pool", "/a", "--max-volumes", "-1"}, "--max-volumes", {}},
      {{"all", "--pool", "/a", "--max-volumes", "9x"}, "--max-volumes", {}},
      {{"all", "--pool", "/a", "--node-id", "a b"}, "--node-id", {}},
      {{"all", "--pool", "/a", "--node-id", std::string(64, 'n')}, "--node-id", {}},
      {{"all", "--pool", "/a"}, "HOLDFAST_POOLS", {{"HOLDFAST_POOLS", "/b"}}},
      {{"all", "--pool", "/a"}, "--log-level", {{"HOLDFAST_LOG_LEVEL", "loud"}}},
  };
  for (const Mistake& mistake : mistakes) {
    const CommandLine line = Parse(mistake.arguments, mistake.environment);
    EXPECT_FALSE(line.config) << mistake.says;
    EXPECT_EQ(line.exit_code, 2) << mistake.says;
    EXPECT_EQ(line.text.find('\n'), std::string::npos) << line.text;
    EXPECT_EQ(line.text.rfind("holdfast: ", 0), 0u) << line.text;
    EXPECT_NE(line.text.find(mistake.says), std::string::npos)
        << "expected '" << mistake.says << "' in: " << line.text;
  }
}

TEST(Config, Help_NamesEveryFlagAndVersionThisVersion) {
  const CommandLine help = Parse({"--help"});
  EXPECT_FALSE(help.config);
  EXPECT_EQ(help.exit_code, 0);
  for (const char* flag :
       {"--endpoint", "--pool", "--node-id", "--kubelet-root", "--run-folder", "--admin-socket",
        "--trash-grace", "--trim-interval", "--freeze-deadline", "--log-level", "--log-format",
        "--http-listen", "--max-volumes", "--shutdown-timeout", "--kubelet-registration",
        "--version", "HOLDFAST_", "holdfastctl pool init"}) {
    EXPECT_NE(help.text.find(flag), std::string::npos) << flag;
  }
  const CommandLine version = Parse({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.text, "holdfast 0.1.0 (CSI 1.13.0)");
}

// --- The socket's path
// ----------------------------------------------------------------------------

class SocketTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(mkdtemp(folder_.data()), nullptr); }
  void TearDown() override {
    for (const char* name : {"/csi.sock", "/csi.sock.lock"}) unlink((folder_ + name).c_str());
    EXPECT_EQ(rmdir(folder_.c_str()), 0) << "something is left in " << folder_;
  }

  // A socket bound at path(); listening when asked.
  int Bind(bool listening) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path().c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    if (listening) {
      EXPECT_EQ(listen(fd, 1), 0);
    }
    return fd;
  }

  std::string path() const { return folder_ + "/csi.sock"; }

  std::string folder_ = "/tmp/holdfast-socket-XXXXXX";
};

TEST_F(SocketTest, AServerBehindAClaim_IsForItsOwnerAloneAndRemovesItsSocket) {
  auto claim = SocketClaim::Take(path());
  ASSERT_TRUE(claim.ok()) << claim.status();
  ServerOptions options;
  options.endpoint = "unix://" + path();
  IdentityService identity([] { return ProbeState{}; });
  std::unique_ptr<Server> server;
  {
    const PrivateCreation private_socket;
    auto started = Server::Start(options, {&identity}, {});
    ASSERT_TRUE(started.ok()) << started.status();
    server = *std::move(started);
  }
  struct stat bound {};
  ASSERT_EQ(lstat(path().c_str(), &bound), 0);
  EXPECT_EQ(bound.st_mode & 0777, 0600u);
  EXPECT_TRUE(claim->Protect().ok());
  EXPECT_TRUE(server->Stop().ok());
  EXPECT_NE(access(path().c_str(), F_OK), 0) << "the socket is left behind";
}

TEST_F(SocketTest, ASocketWithAListener_IsRefusedAndStays) {
  const int fd = Bind(/*listening=*/true);
  const auto claim = SocketClaim::Take(path());
  EXPECT_EQ(claim.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(claim.status().message()).find("in use"), std::string::npos);
  EXPECT_EQ(access(path().c_str(), F_OK), 0);
  close(fd);
}

TEST_F(SocketTest, ASocketOfADeadProcess_IsReplaced) {
  close(Bind(/*listening=*/true));
  ASSERT_EQ(access(path().c_str(), F_OK), 0);
  EXPECT_TRUE(SocketClaim::Take(path()).ok());
  EXPECT_NE(access(path().c_str(), F_OK), 0);
}

TEST_F(SocketTest, ASecondClaim_IsRefusedUntilTheFirstEnds) {
  {
    const auto first = SocketClaim::Take(path());
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(SocketClaim::Take(path()).status().code(), absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_TRUE(SocketClaim::Take(path()).ok());
}

TEST_F(SocketTest, AFileThatIsNoSocket_IsNeverRemoved) {
  std::ofstream(path()) << "precious";
  EXPECT_EQ(SocketClaim::Take(path()).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(access(path().c_str(), F_OK), 0);
}

}  // namespace
}  // namespace holdfast
