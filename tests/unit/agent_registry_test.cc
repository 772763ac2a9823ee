// Who reports, what is away, and where a pool is.
#include "agent/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "engine/fake/fake_engine.h"
#include "tests/fakes/status_asserts.h"

namespace holdfast {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kPool = "11111111-1111-4111-8111-111111111111";
const std::string kOtherPool = "22222222-2222-4222-8222-222222222222";

class Registry : public ::testing::Test {
 protected:
  agent::v1::ReportRequest Request(const std::string& node, const std::vector<std::string>& pools,
                                   const std::string& address = "10.0.0.1:9750") {
    agent::v1::ReportRequest request;
    request.set_node(node);
    request.set_address(address);
    request.set_version("9.9");
    for (const std::string& uuid : pools) {
      agent::v1::PoolStatus& pool = *request.add_pools();
      pool.set_uuid(uuid);
      pool.set_name("fast");
      pool.set_watermark(agent::v1::WATERMARK_PLENTY);
    }
    return request;
  }
  agent::v1::ReportResponse MustTake(const std::string& node, const std::vector<std::string>& pools,
                                     const std::string& address = "10.0.0.1:9750") {
    agent::v1::ReportResponse response;
    EXPECT_OK(registry_.Take(node, Request(node, pools, address), response));
    return response;
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const auto& node : registry_.Nodes()) names.push_back(node.name);
    return names;
  }

  std::chrono::steady_clock::time_point now_{std::chrono::hours(1)};
  const SystemClock clock_;
  std::vector<std::string> connected_;
  AgentRegistry registry_{
      [this](const std::string& node, const std::string& address) {
        connected_.push_back(node + "@" + address);
        return std::make_shared<FakeEngine>(
            clock_, std::vector<FakePoolSpec>{{.name = "fast", .size_bytes = uint64_t{1} << 30}});
      },
      {.now = [this] { return now_; }}};
};

TEST_F(Registry, PoolIsWhereItsNodeSaysItIs) {
  MustTake("a", {kPool});
  MustTake("b", {kOtherPool});
  EXPECT_THAT(Names(), ElementsAre("a", "b"));
  EXPECT_EQ(registry_.NodeOfPool(kPool)->name, "a");
  EXPECT_EQ(registry_.NodeOfPool(kOtherPool)->name, "b");
  // The disk is moved.
  MustTake("a", {});
  MustTake("b", {kOtherPool, kPool});
  EXPECT_EQ(registry_.NodeOfPool(kPool)->name, "b");
}

TEST_F(Registry, ReportOfAnotherNode_IsRefused_AndChangesNothing) {
  MustTake("b", {kPool});
  agent::v1::ReportResponse response;
  const absl::Status status = registry_.Take("a", Request("b", {}), response);
  EXPECT_CODE(status, kPermissionDenied);
  EXPECT_THAT(std::string(status.message()), HasSubstr("expected one of node a"));
  EXPECT_EQ(registry_.NodeOfPool(kPool)->name, "b");
  EXPECT_THAT(Names(), ElementsAre("b"));
}

TEST_F(Registry, AddressThatIsNone_IsRefused) {
  for (const char* address :
       {"", "10.0.0.1", ":9750", "10.0.0.1:0", "unix:/run/x.sock", "dns:///evil:9750"}) {
    agent::v1::ReportResponse response;
    EXPECT_CODE(registry_.Take("a", Request("a", {}, address), response), kInvalidArgument)
        << address;
  }
  EXPECT_TRUE(connected_.empty());
}

TEST_F(Registry, AgentIsDialledAgain_OnlyWhenItIsAnotherProcessOrElsewhere) {
  MustTake("a", {kPool});
  MustTake("a", {kPool});
  MustTake("a", {kPool}, "10.0.0.2:9750");
  EXPECT_THAT(connected_, ElementsAre("a@10.0.0.1:9750", "a@10.0.0.2:9750"));
  agent::v1::ReportRequest restarted = Request("a", {kPool}, "10.0.0.2:9750");
  restarted.set_instance("another");
  agent::v1::ReportResponse response;
  EXPECT_OK(registry_.Take("a", restarted, response));
  EXPECT_OK(registry_.Take("a", restarted, response));
  EXPECT_EQ(connected_.size(), 3u) << "it does not wait until gRPC tries again";
}

TEST_F(Registry, SilentAgent_IsAway_AndWhatItHasIsUnavailable_NeverGone) {
  now_ += seconds(60);
  MustTake("a", {kPool});
  MustTake("b", {});
  now_ += seconds(16);
  MustTake("b", {});
  EXPECT_THAT(Names(), ElementsAre("b"));
  const auto found = registry_.NodeOfPool(kPool);
  EXPECT_CODE(found, kUnavailable);
  EXPECT_THAT(std::string(found.status().message()),
              HasSubstr("the agent of node a was heard of 16 s ago"));
  EXPECT_CODE(registry_.FindNode("a"), kUnavailable);
  EXPECT_CODE(registry_.AllNodes(), kUnavailable) << "a list without it would say that it is gone";
  now_ += seconds(3600);
  MustTake("b", {});
  EXPECT_CODE(registry_.NodeOfPool(kPool), kUnavailable);
  EXPECT_CODE(registry_.FindNode("a"), kNotFound) << "new volumes are made elsewhere";
  MustTake("a", {kPool});
  EXPECT_EQ(registry_.NodeOfPool(kPool)->name, "a");
  EXPECT_OK(registry_.AllNodes());
}

TEST_F(Registry, ControllerThatHasJustStarted_KnowsNothing_AndSaysSo) {
  EXPECT_CODE(registry_.NodeOfPool(kPool), kUnavailable);
  EXPECT_CODE(registry_.FindNode("a"), kUnavailable);
  MustTake("b", {});
  EXPECT_CODE(registry_.AllNodes(), kUnavailable);
  now_ += seconds(14);
  MustTake("b", {});
  now_ += seconds(2);
  EXPECT_EQ(registry_.AllNodes()->size(), 1u);
  EXPECT_CODE(registry_.FindNode("a"), kUnavailable);
  now_ += seconds(60);
  EXPECT_CODE(registry_.FindNode("a"), kNotFound);
}

TEST_F(Registry, PoolOfTwoNodes_IsServedOnNeither_UntilOneGoes) {
  EXPECT_EQ(MustTake("a", {kPool}).contested_size(), 0);
  const agent::v1::ReportResponse of_b = MustTake("b", {kOtherPool, kPool});
  ASSERT_EQ(of_b.contested_size(), 1);
  EXPECT_EQ(of_b.contested(0).uuid(), kPool);
  EXPECT_EQ(of_b.contested(0).other_node(), "a");
  const agent::v1::ReportResponse of_a = MustTake("a", {kPool});
  ASSERT_EQ(of_a.contested_size(), 1);
  EXPECT_EQ(of_a.contested(0).other_node(), "b");
  const auto found = registry_.NodeOfPool(kPool);
  EXPECT_CODE(found, kFailedPrecondition);
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("found on a and b at once"));
  EXPECT_EQ(registry_.NodeOfPool(kOtherPool)->name, "b");
  now_ += seconds(16);
  EXPECT_EQ(MustTake("b", {kPool}).contested_size(), 0) << "a is silent";
  EXPECT_EQ(registry_.NodeOfPool(kPool)->name, "b");
}

TEST_F(Registry, PoolsThatCouldNotBeRead_AreNotOneAndTheSame) {
  MustTake("a", {""});
  EXPECT_EQ(MustTake("b", {""}).contested_size(), 0);
}

TEST_F(Registry, AgentOfANewerRelease_IsNotMisread) {
  agent::v1::ReportRequest request = Request("a", {kPool});
  request.mutable_pools(0)->set_watermark(static_cast<agent::v1::Watermark>(77));
  agent::v1::ReportResponse response;
  const absl::Status status = registry_.Take("a", request, response);
  EXPECT_CODE(status, kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("newer release"));
}

}  // namespace
}  // namespace holdfast
