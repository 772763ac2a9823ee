// holdfastctl pki and cluster: what an administrator of many machines asks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "agent/cluster_service.h"
#include "base/clock.h"
#include "ctl.h"
#include "engine/fake/fake_engine.h"
#include "nlohmann/json.hpp"
#include "pki/certificates.h"
#include "rpc/server.h"
#include "tests/fakes/fake_host.h"
#include "tests/fakes/status_asserts.h"

namespace holdfast::ctl {
namespace {

using testing::HasSubstr;

class Commands : public testing::Test {
 protected:
  int Run(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    Surroundings surroundings{[this]() -> absl::StatusOr<Host*> { return &host_; }, {}, out_, err_};
    return ctl::Run(arguments, surroundings);
  }
  FakeHost host_;
  std::ostringstream out_, err_;
};

class Pki : public Commands {
 protected:
  Pki() {
    host_.MakePool("/srv");
    host_.MakeFolders("/srv/pki");
  }
  std::string Text(const std::string& folder, const std::string& name) {
    const auto opened = host_.OpenFolder(folder);
    EXPECT_OK(opened);
    const auto file = host_.OpenFile(*opened, name, Access::kReadOnly);
    EXPECT_OK(file);
    if (!file->has_value()) return "";
    return *host_.Read(**file, 0, 64 * 1024);
  }
};

TEST_F(Pki, AuthorityIssuesForTheControllerAndForNodes) {
  ASSERT_EQ(Run({"pki", "init", "/srv/pki"}), kExitDone) << err_.str();
  ASSERT_EQ(Run({"pki", "issue", "/srv/pki", "--for-controller"}), kExitDone) << err_.str();
  ASSERT_EQ(Run({"pki", "issue", "/srv/pki", "--node", "worker-1", "--days", "7"}), kExitDone);
  EXPECT_THAT(out_.str(), HasSubstr("spiffe://csi.holdfast.dev/node/worker-1, for 7 days"));
  const std::string folder = "/srv/pki/node-worker-1";
  EXPECT_OK(CheckPair(Text(folder, "tls.key"), Text(folder, "tls.crt"), Text(folder, "ca.crt")));
  EXPECT_EQ(Text(folder, "ca.crt"), Text("/srv/pki", "ca.crt"));
  const auto facts = ReadCertificate(Text(folder, "tls.crt"));
  ASSERT_OK(facts);
  EXPECT_EQ(facts->holder, (Holder{Holder::Role::kNode, "worker-1"}));
  EXPECT_NEAR(static_cast<double>(facts->not_after_unix_seconds - facts->not_before_unix_seconds),
              7 * 86400 + 300, 5);
  EXPECT_EQ(ReadCertificate(Text("/srv/pki/controller", "tls.crt"))->holder, Holder{});
}

TEST_F(Pki, IssuedAgain_IsRenewed_WithAnotherKey) {
  ASSERT_EQ(Run({"pki", "init", "/srv/pki"}), kExitDone);
  ASSERT_EQ(Run({"pki", "issue", "/srv/pki", "--node", "a"}), kExitDone);
  const std::string key = Text("/srv/pki/node-a", "tls.key");
  ASSERT_EQ(Run({"pki", "issue", "/srv/pki", "--node", "a"}), kExitDone) << err_.str();
  EXPECT_NE(Text("/srv/pki/node-a", "tls.key"), key);
  EXPECT_OK(CheckPair(Text("/srv/pki/node-a", "tls.key"), Text("/srv/pki/node-a", "tls.crt"),
                      Text("/srv/pki", "ca.crt")));
}

TEST_F(Pki, WhatItIsNotFor_IsOneLine_AndLosesNothing) {
  EXPECT_EQ(Run({"pki", "issue", "/srv/pki", "--for-controller"}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("make an authority with 'holdfastctl pki init /srv/pki'"));
  ASSERT_EQ(Run({"pki", "init", "/srv/pki"}), kExitDone);
  const std::string key = Text("/srv/pki", "ca.key");
  EXPECT_EQ(Run({"pki", "init", "/srv/pki"}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("expected a folder without ca.key"));
  EXPECT_EQ(Text("/srv/pki", "ca.key"), key);
  EXPECT_EQ(Run({"pki", "issue", "/srv/pki", "--node", "../x"}), kExitRefused);
  EXPECT_EQ(Run({"pki", "issue", "/srv/pki"}), kExitMisused);
  EXPECT_EQ(Run({"pki", "issue", "/srv/pki", "--node", "a", "--for-controller"}), kExitMisused);
  EXPECT_EQ(Run({"pki", "issue", "/srv/pki", "--node", "a", "--days", "0"}), kExitMisused);
  EXPECT_EQ(Run({"pki", "init", "/nowhere"}), kExitRefused);
}

class ClusterStatus : public Commands {
 protected:
  ClusterStatus() {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfast-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    ServerOptions options;
    options.endpoint = "unix://" + Socket();
    server_ = *Server::Start(options, {&service_}, {});
  }
  ~ClusterStatus() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::string Socket() const { return folder_ + "/admin.sock"; }
  void Report(const std::string& node) {
    agent::v1::ReportRequest request;
    request.set_node(node);
    request.set_address("10.0.0.1:9750");
    request.set_version("9.9");
    agent::v1::PoolStatus& pool = *request.add_pools();
    pool.set_name("as-reported");
    pool.set_uuid(node);
    pool.set_watermark(agent::v1::WATERMARK_PLENTY);
    agent::v1::ReportResponse response;
    EXPECT_OK(registry_.Take(node, request, response));
  }
  nlohmann::json Json() {
    EXPECT_EQ(Run({"--admin-socket", Socket(), "cluster", "status", "--json"}), kExitDone)
        << err_.str();
    return nlohmann::json::parse(out_.str());
  }

  std::chrono::steady_clock::time_point now_{std::chrono::hours(1)};
  const SystemClock clock_;
  std::string folder_;
  AgentRegistry registry_{
      [this](const std::string&, const std::string&) {
        return std::make_shared<FakeEngine>(
            clock_, std::vector<FakePoolSpec>{{.name = "asked", .size_bytes = uint64_t{1} << 30}});
      },
      {.now = [this] { return now_; }}};
  ClusterService service_{registry_};
  std::unique_ptr<Server> server_;
};

TEST_F(ClusterStatus, NodesThatAreThere_AreAsked_AndTheOthersTellWhatTheySaidLast) {
  Report("a");
  now_ += std::chrono::seconds(20);
  Report("b");
  const nlohmann::json status = Json();
  ASSERT_EQ(status["nodes"].size(), 2u);
  EXPECT_EQ(status["nodes"][0]["name"], "a");
  EXPECT_EQ(status["nodes"][0]["silent_seconds"], 20);
  EXPECT_THAT(status["nodes"][0]["trouble"].get<std::string>(), HasSubstr("20 s ago"));
  EXPECT_EQ(status["nodes"][0]["pools"][0]["name"], "as-reported");
  EXPECT_EQ(status["nodes"][1]["trouble"], "");
  EXPECT_EQ(status["nodes"][1]["pools"][0]["name"], "asked");
  EXPECT_EQ(status["nodes"][1]["pools"][0]["refusal"], "");
  EXPECT_EQ(status["nodes"][1]["pools"][0]["size_bytes"], uint64_t{1} << 30);
  EXPECT_EQ(Run({"--admin-socket", Socket(), "cluster", "status"}), kExitDone);
  EXPECT_THAT(out_.str(), HasSubstr("away"));
  EXPECT_THAT(out_.str(), HasSubstr("is the node up, and its holdfast-node pod?"));
}

TEST_F(ClusterStatus, Jobs_AreTheCopiesThatNodesReport) {
  Report("a");
  EXPECT_EQ(Run({"--admin-socket", Socket(), "jobs"}), kExitDone);
  EXPECT_EQ(out_.str(), "nothing is under way\n");
  agent::v1::ReportRequest request;
  request.set_node("b");
  request.set_address("10.0.0.2:9750");
  agent::v1::CopyProgress& copy = *request.add_copies();
  copy.set_volume_id("vol-1");
  (*copy.mutable_labels())["csi.storage.k8s.io/pvc/name"] = "data";
  (*copy.mutable_labels())["csi.storage.k8s.io/pvc/namespace"] = "shop";
  copy.set_source_id("snap-1");
  copy.set_from_node("a");
  copy.set_passed_bytes(uint64_t{3} << 30);
  copy.set_total_bytes(uint64_t{12} << 30);
  agent::v1::ReportResponse response;
  ASSERT_OK(registry_.Take("b", request, response));
  EXPECT_EQ(Run({"--admin-socket", Socket(), "jobs"}), kExitDone) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("shop/data"));
  EXPECT_THAT(out_.str(), HasSubstr("3 GiB of 12 GiB (25 %)"));
  EXPECT_EQ(Run({"--admin-socket", Socket(), "jobs", "--json"}), kExitDone);
  const nlohmann::json jobs = nlohmann::json::parse(out_.str());
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0]["volume"], "vol-1");
  EXPECT_EQ(jobs[0]["source"], "snap-1");
  EXPECT_EQ(jobs[0]["from_node"], "a");
  EXPECT_EQ(jobs[0]["to_node"], "b");
  EXPECT_EQ(jobs[0]["passed_bytes"], uint64_t{3} << 30);
}

TEST_F(ClusterStatus, WithoutNodesOrController_SaysSo) {
  EXPECT_TRUE(Json()["nodes"].empty());
  EXPECT_EQ(Run({"--admin-socket", Socket(), "cluster", "status"}), kExitDone);
  EXPECT_THAT(out_.str(), HasSubstr("no node has reported"));
  EXPECT_EQ(Run({"--admin-socket", folder_ + "/none.sock", "cluster", "status"}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("expected a running server, found none"));
}

}  // namespace
}  // namespace holdfast::ctl
