// ControllerGetVolume, ValidateVolumeCapabilities, ControllerExpandVolume, GetCapacity and
// ControllerGetCapabilities.
#include <set>

#include "base/build_info.h"
#include "tests/unit/controller_fixture.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

class VolumeFacts : public ControllerTest {
 protected:
  csi::v1::ValidateVolumeCapabilitiesResponse Validate(
      const csi::v1::ValidateVolumeCapabilitiesRequest& request,
      grpc::StatusCode code = grpc::StatusCode::OK) {
    csi::v1::ValidateVolumeCapabilitiesResponse response;
    const grpc::Status status = service_.ValidateVolumeCapabilities(nullptr, &request, &response);
    EXPECT_EQ(status.error_code(), code) << status.error_message();
    return response;
  }
  grpc::Status Expand(const std::string& id, int64_t bytes,
                      csi::v1::ControllerExpandVolumeResponse* response) {
    csi::v1::ControllerExpandVolumeRequest request;
    request.set_volume_id(id);
    request.mutable_capacity_range()->set_required_bytes(bytes);
    return service_.ControllerExpandVolume(nullptr, &request, response);
  }
  csi::v1::GetCapacityResponse Capacity(const csi::v1::GetCapacityRequest& request) {
    csi::v1::GetCapacityResponse response;
    const grpc::Status status = service_.GetCapacity(nullptr, &request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
};

TEST_F(VolumeFacts, ControllerGetVolume_AnswersWhatCreateAnswered) {
  csi::v1::CreateVolumeResponse created;
  ASSERT_TRUE(Create(VolumeNamed("a"), &created).ok());
  csi::v1::ControllerGetVolumeRequest request;
  csi::v1::ControllerGetVolumeResponse response;
  request.set_volume_id(created.volume().volume_id());
  ASSERT_TRUE(service_.ControllerGetVolume(nullptr, &request, &response).ok());
  EXPECT_EQ(response.volume().SerializeAsString(), created.volume().SerializeAsString());
  EXPECT_TRUE(response.has_status());
  request.set_volume_id("fake-vol-id");
  EXPECT_EQ(service_.ControllerGetVolume(nullptr, &request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  request.clear_volume_id();
  EXPECT_EQ(service_.ControllerGetVolume(nullptr, &request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(VolumeFacts, ValidateVolumeCapabilities_WhatTheVolumeCan_IsConfirmedWordForWord) {
  csi::v1::ValidateVolumeCapabilitiesRequest request;
  request.set_volume_id(MustCreate(VolumeNamed("a")));
  *request.add_volume_capabilities() = Mount();
  *request.add_volume_capabilities() = Mount("");
  (*request.mutable_volume_context())["storage.kubernetes.io/csiProvisionerIdentity"] = "x";
  (*request.mutable_parameters())["provisioning"] = "thick";
  const auto response = Validate(request);
  ASSERT_TRUE(response.has_confirmed()) << response.message();
  EXPECT_EQ(response.confirmed().volume_capabilities_size(), 2);
  EXPECT_EQ(response.confirmed().volume_context_size(), 1);
  EXPECT_EQ(response.confirmed().parameters().at("provisioning"), "thick");
}

TEST_F(VolumeFacts, ValidateVolumeCapabilities_WhatTheVolumeCannot_IsAMessageAndNoError) {
  const std::string id = MustCreate(VolumeNamed("a"));
  auto several_writers = Mount();
  several_writers.mutable_access_mode()->set_mode(
      csi::v1::VolumeCapability::AccessMode::MULTI_NODE_MULTI_WRITER);
  for (const auto& capability : {Block(), Mount("xfs"), several_writers}) {
    csi::v1::ValidateVolumeCapabilitiesRequest request;
    request.set_volume_id(id);
    *request.add_volume_capabilities() = capability;
    const auto response = Validate(request);
    EXPECT_FALSE(response.has_confirmed());
    EXPECT_FALSE(response.message().empty());
  }
  csi::v1::ValidateVolumeCapabilitiesRequest thin;
  thin.set_volume_id(id);
  *thin.add_volume_capabilities() = Mount();
  (*thin.mutable_parameters())["provisioning"] = "thin";
  EXPECT_FALSE(Validate(thin).has_confirmed());
}

TEST_F(VolumeFacts, ValidateVolumeCapabilities_OfNothing_IsInvalidOrNotFound) {
  csi::v1::ValidateVolumeCapabilitiesRequest request;
  *request.add_volume_capabilities() = Mount();
  Validate(request, grpc::StatusCode::INVALID_ARGUMENT);
  request.set_volume_id("fake-vol-id");
  Validate(request, grpc::StatusCode::NOT_FOUND);
  request.clear_volume_capabilities();
  Validate(request, grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(VolumeFacts, ControllerExpandVolume_OfAFilesystem_NeedsTheNodeUntilItHasGrown) {
  const std::string id = MustCreate(VolumeNamed("a"));
  csi::v1::ControllerExpandVolumeResponse response;
  ASSERT_TRUE(Expand(id, 2 * kGiB, &response).ok());
  EXPECT_EQ(response.capacity_bytes(), static_cast<int64_t>(2 * kGiB));
  EXPECT_TRUE(response.node_expansion_required());
  ASSERT_TRUE(Expand(id, 2 * kGiB, &response).ok());
  EXPECT_TRUE(response.node_expansion_required());
  engine_.EditVolume(id, [](Volume& volume) { volume.filesystem_bytes = volume.capacity_bytes; });
  ASSERT_TRUE(Expand(id, kGiB, &response).ok());
  EXPECT_EQ(response.capacity_bytes(), static_cast<int64_t>(2 * kGiB));
  EXPECT_FALSE(response.node_expansion_required());
}

TEST_F(VolumeFacts, ControllerExpandVolume_OfBlock_NeedsTheNodeForItsLoop) {
  auto block = VolumeNamed("a");
  *block.mutable_volume_capabilities(0) = Block();
  csi::v1::ControllerExpandVolumeResponse response;
  ASSERT_TRUE(Expand(MustCreate(block), 2 * kGiB, &response).ok());
  EXPECT_TRUE(response.node_expansion_required());
}

TEST_F(VolumeFacts, ControllerExpandVolume_ThatCannotBe_TellsTheResizerForGood) {
  const std::string id = MustCreate(VolumeNamed("a"));
  csi::v1::ControllerExpandVolumeResponse response;
  EXPECT_EQ(Expand(id, static_cast<int64_t>(101 * kGiB), &response).error_code(),
            grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(Expand(id, -1, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Expand(id, 0, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Expand("", kGiB, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Expand("fake-vol-id", kGiB, &response).error_code(), grpc::StatusCode::NOT_FOUND);
  csi::v1::ControllerExpandVolumeRequest request;
  request.set_volume_id(id);
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(2 * kGiB));
  *request.mutable_volume_capability() = Block();
  EXPECT_EQ(service_.ControllerExpandVolume(nullptr, &request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(engine_.FindVolume(id)->value().capacity_bytes, kGiB);
}

TEST_F(VolumeFacts, GetCapacity_WhatItSaysCanBeCreated_CanBeAndNotMore) {
  csi::v1::GetCapacityRequest request;
  (*request.mutable_parameters())["csi.storage.k8s.io/fstype"] = "ext4";
  (*request.mutable_accessible_topology()->mutable_segments())[kNodeTopologyKey] = kNode;
  const auto before = Capacity(request);
  ASSERT_GT(before.maximum_volume_size().value(), 0);
  EXPECT_GE(before.available_capacity(), before.maximum_volume_size().value());
  EXPECT_GT(before.minimum_volume_size().value(), 0);
  const uint64_t largest =
      static_cast<uint64_t>(before.maximum_volume_size().value()) / kBlockBytes * kBlockBytes;
  EXPECT_EQ(Create(VolumeNamed("a", largest + kGiB)).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Create(VolumeNamed("a", largest)).ok());
  EXPECT_LT(Capacity(request).maximum_volume_size().value(), static_cast<int64_t>(kGiB));
}

TEST_F(VolumeFacts, GetCapacity_OfAnotherNode_IsNothing) {
  csi::v1::GetCapacityRequest request;
  (*request.mutable_accessible_topology()->mutable_segments())[kNodeTopologyKey] = "node-2";
  EXPECT_EQ(Capacity(request).available_capacity(), 0);
  EXPECT_EQ(Capacity(request).maximum_volume_size().value(), 0);
}

TEST_F(VolumeFacts, GetCapacity_OfAnUnknownPoolOrParameter_IsInvalidArgument) {
  for (const char* key : {"pool", "flavour"}) {
    csi::v1::GetCapacityRequest request;
    csi::v1::GetCapacityResponse response;
    (*request.mutable_parameters())[key] = "nowhere";
    EXPECT_EQ(service_.GetCapacity(nullptr, &request, &response).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(VolumeFacts, ControllerGetCapabilities_OffersWhatIsImplementedAndNoMore) {
  csi::v1::ControllerGetCapabilitiesRequest request;
  csi::v1::ControllerGetCapabilitiesResponse response;
  ASSERT_TRUE(service_.ControllerGetCapabilities(nullptr, &request, &response).ok());
  std::set<std::string> offered;
  for (const auto& capability : response.capabilities()) {
    offered.insert(csi::v1::ControllerServiceCapability::RPC::Type_Name(capability.rpc().type()));
  }
  EXPECT_EQ(offered,
            (std::set<std::string>{"CLONE_VOLUME", "CREATE_DELETE_SNAPSHOT", "CREATE_DELETE_VOLUME",
                                   "EXPAND_VOLUME", "GET_CAPACITY", "GET_SNAPSHOT", "GET_VOLUME",
                                   "LIST_SNAPSHOTS", "LIST_VOLUMES", "SINGLE_NODE_MULTI_WRITER"}));
}

}  // namespace
}  // namespace holdfast
