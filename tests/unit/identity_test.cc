#include <gtest/gtest.h>

#include <set>
#include <string>

#include "identity/identity_service.h"

namespace holdfast {
namespace {

using Health = ProbeState::Health;

TEST(Identity, GetPluginInfo_NamesTheDriver) {
  IdentityService identity([] { return ProbeState{}; });
  csi::v1::GetPluginInfoResponse response;
  csi::v1::GetPluginInfoRequest request;
  ASSERT_TRUE(identity.GetPluginInfo(nullptr, &request, &response).ok());
  EXPECT_EQ(response.name(), "csi.holdfast.dev");
  EXPECT_FALSE(response.vendor_version().empty());
}

TEST(Identity, GetPluginCapabilities_OffersControllerTopologyAndOnlineExpansion) {
  IdentityService identity([] { return ProbeState{}; });
  csi::v1::GetPluginCapabilitiesRequest request;
  csi::v1::GetPluginCapabilitiesResponse response;
  ASSERT_TRUE(identity.GetPluginCapabilities(nullptr, &request, &response).ok());
  std::set<std::string> offered;
  for (const auto& capability : response.capabilities()) {
    offered.insert(capability.ShortDebugString());
  }
  EXPECT_EQ(offered, (std::set<std::string>{"service { type: CONTROLLER_SERVICE }",
                                            "service { type: VOLUME_ACCESSIBILITY_CONSTRAINTS }",
                                            "volume_expansion { type: ONLINE }"}));
}

TEST(Identity, Probe_WhileStarting_IsOkAndNotReady) {
  IdentityService identity([] { return ProbeState{Health::kStarting, "opening"}; });
  csi::v1::ProbeRequest request;
  csi::v1::ProbeResponse response;
  ASSERT_TRUE(identity.Probe(nullptr, &request, &response).ok());
  ASSERT_TRUE(response.has_ready());
  EXPECT_FALSE(response.ready().value());
}

TEST(Identity, Probe_WhenServing_IsReady) {
  IdentityService identity([] { return ProbeState{Health::kReady, ""}; });
  csi::v1::ProbeRequest request;
  csi::v1::ProbeResponse response;
  ASSERT_TRUE(identity.Probe(nullptr, &request, &response).ok());
  EXPECT_TRUE(response.ready().value());
}

TEST(Identity, Probe_WithoutAnyPool_IsFailedPreconditionWithTheReason) {
  IdentityService identity([] { return ProbeState{Health::kUnhealthy, "no pool is served: x"}; });
  csi::v1::ProbeRequest request;
  csi::v1::ProbeResponse response;
  const grpc::Status status = identity.Probe(nullptr, &request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), "no pool is served: x");
}

}  // namespace
}  // namespace holdfast
