// A node that has nothing but a token gets a certificate, and uses it; over real connections.
#include "agent/enrolment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>

#include "agent/certificate_keeper.h"
#include "agent/registry.h"
#include "agent/remote_engine.h"
#include "agent/tls.h"
#include "fmt/format.h"
#include "os/secret_files.h"
#include "rpc/server.h"
#include "tests/fakes/status_asserts.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

const Holder kController{Holder::Role::kController, ""};

std::string Text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class Enrolling : public ::testing::Test {
 protected:
  Enrolling() {
    std::string name = (std::filesystem::temp_directory_path() / "holdfast-enrol-XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    Keep("controller", *IssueOwn(authority_, clock_));
    ServerOptions options;
    options.address = "127.0.0.1:0";
    options.credentials = LinkTls(Files("controller")).Server(ClientCertificate::kOptional);
    server_ = *Server::Start(options, {&enrolment_, &registry_}, {});
  }
  ~Enrolling() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Keep(const std::string& who, const Credentials& credentials) {
    EXPECT_OK(ReplaceSecretFiles(folder_ + "/" + who, {{"tls.key", credentials.private_key},
                                                       {"tls.crt", credentials.certificate},
                                                       {"ca.crt", credentials.authority}}));
  }
  TlsFiles Files(const std::string& who) const {
    const std::string current = folder_ + "/" + who + "/current/";
    return {current + "ca.crt", current + "tls.crt", current + "tls.key"};
  }
  std::shared_ptr<grpc::Channel> Channel(
      const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    return AgentChannel(fmt::format("127.0.0.1:{}", server_->port()), credentials);
  }
  absl::StatusOr<Credentials> EnrolWith(const std::string& token) {
    return Enrol(Channel(EnrolmentTls(Files("controller").authority, kController)), token);
  }
  grpc::Status ReportAs(const std::string& node,
                        const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    grpc::ClientContext context;
    agent::v1::ReportRequest request;
    request.set_node(node);
    request.set_address("127.0.0.1:1");
    agent::v1::ReportResponse response;
    return agent::v1::Registry::NewStub(Channel(credentials))->Report(&context, request, &response);
  }

  const SystemClock clock_;
  const CertificateAuthority authority_ = *CertificateAuthority::Create(clock_);
  std::string folder_;
  EnrolmentService enrolment_{
      authority_,
      [](const std::string& token) -> absl::StatusOr<std::string> {
        if (token == "of-worker-1") return "worker-1";
        return absl::UnauthenticatedError("token: expected another, found this");
      },
      clock_};
  AgentRegistry registry_{[](const std::string&, const std::string&) { return nullptr; }};
  std::unique_ptr<Server> server_;
};

TEST_F(Enrolling, NodeWithAToken_GetsItsCertificate_AndReportsWithIt) {
  ASSERT_OK_AND_ASSIGN(const Credentials got, EnrolWith("of-worker-1"));
  ASSERT_OK_AND_ASSIGN(const CertificateFacts facts, ReadCertificate(got.certificate));
  EXPECT_EQ(facts.holder, (Holder{Holder::Role::kNode, "worker-1"}));
  Keep("worker-1", got);
  EXPECT_TRUE(ReportAs("worker-1", LinkTls(Files("worker-1")).Client(kController)).ok());
  const grpc::Status other = ReportAs("worker-2", LinkTls(Files("worker-1")).Client(kController));
  EXPECT_EQ(other.error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(Enrolling, WithoutAGoodToken_NothingIsSigned) {
  const absl::Status status = EnrolWith("of-nobody").status();
  EXPECT_CODE(status, kUnauthenticated);
  EXPECT_THAT(std::string(status.message()), HasSubstr("expected another"));
}

TEST_F(Enrolling, WithoutACertificate_OnlyEnrolmentIsServed) {
  const grpc::Status report =
      ReportAs("worker-1", EnrolmentTls(Files("controller").authority, kController));
  EXPECT_EQ(report.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(report.error_message(), HasSubstr("found none"));
  EXPECT_TRUE(registry_.Agents().empty());
}

TEST_F(Enrolling, TokenIsNotSentToWhoIsNotTheController) {
  // A node that listens where the controller should.
  ASSERT_OK_AND_ASSIGN(const Credentials got, EnrolWith("of-worker-1"));
  Keep("worker-1", got);
  std::atomic<int> asked{0};
  EnrolmentService thief(
      authority_,
      [&asked](const std::string&) -> absl::StatusOr<std::string> {
        ++asked;
        return "worker-9";
      },
      clock_);
  ServerOptions options;
  options.address = "127.0.0.1:0";
  options.credentials = LinkTls(Files("worker-1")).Server(ClientCertificate::kOptional);
  ASSERT_OK_AND_ASSIGN(const auto server, Server::Start(options, {&thief}, {}));
  const auto channel = AgentChannel(fmt::format("127.0.0.1:{}", server->port()),
                                    EnrolmentTls(Files("controller").authority, kController));
  EXPECT_CODE(Enrol(channel, "of-worker-1"), kUnavailable);
  EXPECT_EQ(asked, 0);
}

TEST_F(Enrolling, Keeper_RenewsAtHalfTime_AndTriesAgainAfterAFailure) {
  std::mutex mutex;
  std::vector<std::string> kept;
  std::atomic<int> asked{0};
  {
    const CertificateKeeper keeper(
        [&]() -> absl::StatusOr<Credentials> {
          if (++asked == 1) return absl::UnavailableError("the first time nobody answers");
          Credentials credentials;
          credentials.private_key = *NewPrivateKey();
          credentials.certificate = *authority_.Sign(*NewSigningRequest(credentials.private_key),
                                                     kController, std::chrono::seconds(4), clock_);
          return credentials;
        },
        [&](const Credentials& credentials) {
          const std::lock_guard lock(mutex);
          kept.push_back(credentials.certificate);
          return absl::OkStatus();
        },
        clock_);
    std::this_thread::sleep_for(std::chrono::milliseconds(6500));
  }
  // After 1 s the first one, and then one every 2 s.
  const std::lock_guard lock(mutex);
  EXPECT_GE(kept.size(), 3u);
  EXPECT_LE(kept.size(), 4u);
  EXPECT_EQ(std::set<std::string>(kept.begin(), kept.end()).size(), kept.size());
}

TEST_F(Enrolling, SecretFiles_AreReplacedTogether_AndForTheirOwnerAlone) {
  const std::string where = folder_ + "/files";
  ASSERT_OK(ReplaceSecretFiles(where, {{"a", "one"}, {"b", "one"}}));
  EXPECT_EQ(Text(where + "/current/a"), "one");
  ASSERT_OK(ReplaceSecretFiles(where, {{"a", "two"}, {"b", "two"}}));
  EXPECT_EQ(Text(where + "/current/a") + Text(where + "/current/b"), "twotwo");
  struct stat facts;
  ASSERT_EQ(stat((where + "/current/a").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
  ASSERT_EQ(stat(where.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0700u);
  size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(where)) ++entries;
  EXPECT_EQ(entries, 2u) << "the link and what it names";
  EXPECT_FALSE(ReplaceSecretFiles("/proc/none", {{"a", "x"}}).ok());
}

}  // namespace
}  // namespace holdfast
