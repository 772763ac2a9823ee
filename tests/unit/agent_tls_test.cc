// Who may call an agent, over real connections of loopback.
#include "agent/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "agent/agent_service.h"
#include "agent/remote_engine.h"
#include "base/clock.h"
#include "engine/fake/fake_engine.h"
#include "fmt/format.h"
#include "rpc/server.h"
#include "tests/fakes/status_asserts.h"
#include "tests/fakes/test_pki.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

const Holder kController{Holder::Role::kController, ""};
const Holder kNodeA{Holder::Role::kNode, "node-a"};
const Holder kNodeB{Holder::Role::kNode, "node-b"};

class AgentTls : public ::testing::Test {
 protected:
  AgentTls() {
    ServerOptions options;
    options.address = "127.0.0.1:0";
    options.credentials = LinkTls(server_files_).Server();
    auto server = Server::Start(options, {&service_}, {});
    EXPECT_OK(server);
    server_ = *std::move(server);
  }

  std::string Address() const { return fmt::format("127.0.0.1:{}", server_->port()); }
  // What a call says that is made with that certificate to whoever is `expected` there.
  absl::Status CallWith(const TlsFiles& files, const Holder& expected) {
    RemoteEngine remote(AgentChannel(Address(), LinkTls(files).Client(expected)), "node-a");
    return remote.ListVolumes("", 1).status();
  }
  // Output of openssl s_client, whatever its exit.
  std::string Handshake(const TlsFiles& files, const std::string& version) {
    const std::string log = files.certificate + ".log";
    const std::string command = fmt::format(
        "openssl s_client -connect {} -{} -CAfile {} -cert {} -key {} < /dev/null > {} 2>&1",
        Address(), version, files.authority, files.certificate, files.private_key, log);
    EXPECT_GE(std::system(command.c_str()), 0);
    std::ifstream file(log);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  const SystemClock clock_;
  FakeEngine engine_{clock_, {{.name = "fast", .size_bytes = uint64_t{1} << 30}}};
  TestPki pki_;
  const TlsFiles server_files_ = pki_.FilesOf(kNodeA);
  AgentService service_{engine_};
  std::unique_ptr<Server> server_;
};

TEST_F(AgentTls, Controller_IsServed) { EXPECT_OK(CallWith(pki_.FilesOf(kController), kNodeA)); }

TEST_F(AgentTls, NodeIsNoController) {
  for (const Holder& node : {kNodeA, kNodeB}) {
    const absl::Status status = CallWith(pki_.FilesOf(node), kNodeA);
    EXPECT_CODE(status, kPermissionDenied);
    EXPECT_THAT(std::string(status.message()), HasSubstr("expected the controller's"));
  }
}

TEST_F(AgentTls, CertificateOfAnotherAuthority_IsNotLetIn) {
  TestPki other;
  TlsFiles files = other.FilesOf(kController);
  EXPECT_CODE(CallWith(files, kNodeA), kUnavailable) << "the client does not know the server";
  files.authority = server_files_.authority;
  EXPECT_CODE(CallWith(files, kNodeA), kUnavailable) << "the server does not know the client";
}

TEST_F(AgentTls, ExpiredCertificate_IsNotLetIn) {
  EXPECT_CODE(CallWith(pki_.FilesOf(kController, -std::chrono::seconds(1)), kNodeA), kUnavailable);
}

TEST_F(AgentTls, NoCertificate_IsNotLetIn) {
  const auto channel = AgentChannel(Address(), grpc::SslCredentials({}));
  EXPECT_CODE(RemoteEngine(channel, "node-a").ListVolumes("", 1), kUnavailable);
  const auto plain = AgentChannel(Address(), grpc::InsecureChannelCredentials());
  EXPECT_CODE(RemoteEngine(plain, "node-a").ListVolumes("", 1), kUnavailable);
}

TEST_F(AgentTls, ControllerSpeaksToTheNodeItMeans_AndToNoOther) {
  EXPECT_CODE(CallWith(pki_.FilesOf(kController), kNodeB), kUnavailable);
  EXPECT_CODE(CallWith(pki_.FilesOf(kController), kController), kUnavailable);
}

TEST_F(AgentTls, OnlyVersion13IsSpoken) {
  const TlsFiles files = pki_.FilesOf(kController);
  EXPECT_THAT(Handshake(files, "tls1_3"), HasSubstr("TLSv1.3, Cipher is TLS_"));
  EXPECT_THAT(Handshake(files, "tls1_2"), HasSubstr("Cipher is (NONE)"));
}

TEST_F(AgentTls, RenewedCertificate_IsUsedWithoutARestart) {
  // The server's expires: whoever connects anew is refused, until the files are renewed.
  const auto replace = [this](std::chrono::seconds lifetime) {
    const TlsFiles files = pki_.FilesOf(kNodeA, lifetime);
    std::filesystem::copy_file(files.private_key, server_files_.private_key,
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(files.certificate, server_files_.certificate,
                               std::filesystem::copy_options::overwrite_existing);
  };
  const TlsFiles client = pki_.FilesOf(kController);
  const auto becomes = [&](absl::StatusCode code) {
    for (int i = 0; i < 100; ++i) {
      if (CallWith(client, kNodeA).code() == code) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return false;
  };
  EXPECT_TRUE(becomes(absl::StatusCode::kOk));
  replace(-std::chrono::seconds(1));
  EXPECT_TRUE(becomes(absl::StatusCode::kUnavailable));
  replace(std::chrono::hours(1));
  EXPECT_TRUE(becomes(absl::StatusCode::kOk));
}

TEST_F(AgentTls, AgentThatIsGone_IsUnavailable_AndNamed) {
  const TlsFiles files = pki_.FilesOf(kController);
  RemoteEngine remote(AgentChannel(Address(), LinkTls(files).Client(kNodeA)), "node-a");
  EXPECT_OK(remote.ListVolumes("", 1));
  server_.reset();
  const absl::Status status = remote.ListVolumes("", 1).status();
  EXPECT_CODE(status, kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the agent of node node-a does not answer"));
  ASSERT_EQ(remote.Pools().size(), 1u);
  EXPECT_THAT(remote.Pools()[0].refusal, HasSubstr("node-a"));
}

TEST_F(AgentTls, LongRefusal_ArrivesWhole) {
  std::string id(3000, '\xff');
  const auto remote = std::make_unique<RemoteEngine>(
      AgentChannel(Address(), LinkTls(pki_.FilesOf(kController)).Client(kNodeA)), "node-a");
  const absl::Status far = remote->ExpandVolume(id, {}).status();
  const absl::Status near = engine_.ExpandVolume(id, {}).status();
  EXPECT_EQ(far.code(), near.code());
}

}  // namespace
}  // namespace holdfast
