#include <limits>

#include "base/build_info.h"
#include "rpc/parse.h"
#include "tests/unit/controller_fixture.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

class CreateVolume : public ControllerTest {};

TEST_F(CreateVolume, CreateVolume_Answer_CarriesCapacityTopologyAndNoContext) {
  csi::v1::CreateVolumeResponse response;
  ASSERT_TRUE(Create(VolumeNamed("a", kGiB + 1), &response).ok());
  const csi::v1::Volume& volume = response.volume();
  EXPECT_EQ(volume.capacity_bytes(), static_cast<int64_t>(kGiB + kBlockBytes));
  ASSERT_EQ(volume.accessible_topology_size(), 1);
  EXPECT_EQ(volume.accessible_topology(0).segments().at(kNodeTopologyKey), kNode);
  EXPECT_EQ(volume.accessible_topology(0).segments_size(), 1);
  EXPECT_FALSE(volume.has_content_source());
  EXPECT_TRUE(volume.volume_context().empty());
  EXPECT_EQ(engine_.FindVolume(volume.volume_id())->value().name, "a");
}

TEST_F(CreateVolume, CreateVolume_Twice_IsTheSameVolume) {
  EXPECT_EQ(MustCreate(VolumeNamed("a")), MustCreate(VolumeNamed("a")));
  EXPECT_EQ(engine_.ListVolumes("", 0)->size(), 1u);
}

TEST_F(CreateVolume, CreateVolume_SameNameLargerSize_IsAlreadyExists) {
  MustCreate(VolumeNamed("a"));
  EXPECT_EQ(Create(VolumeNamed("a", 2 * kGiB)).error_code(), grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(CreateVolume, CreateVolume_SameNameOtherContentOrParameters_IsAlreadyExists) {
  MustCreate(VolumeNamed("a"));
  auto block = VolumeNamed("a");
  *block.mutable_volume_capabilities(0) = Block();
  EXPECT_EQ(Create(block).error_code(), grpc::StatusCode::ALREADY_EXISTS);
  auto thin = VolumeNamed("a");
  (*thin.mutable_parameters())["provisioning"] = "thin";
  EXPECT_EQ(Create(thin).error_code(), grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(CreateVolume, CreateVolume_FromSnapshotAndVolume_AnswersItsSource) {
  const std::string volume_id = MustCreate(VolumeNamed("a"));
  auto restore = VolumeNamed("b");
  const std::string snapshot_id = MustSnapshot("s", volume_id);
  restore.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id(snapshot_id);
  csi::v1::CreateVolumeResponse response;
  ASSERT_TRUE(Create(restore, &response).ok());
  EXPECT_EQ(response.volume().content_source().snapshot().snapshot_id(), snapshot_id);
  auto clone = VolumeNamed("c");
  clone.mutable_volume_content_source()->mutable_volume()->set_volume_id(volume_id);
  ASSERT_TRUE(Create(clone, &response).ok());
  EXPECT_EQ(response.volume().content_source().volume().volume_id(), volume_id);
}

TEST_F(CreateVolume, CreateVolume_FromNothingThatExists_IsNotFound) {
  auto restore = VolumeNamed("b");
  restore.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id("../snap");
  EXPECT_EQ(Create(restore).error_code(), grpc::StatusCode::NOT_FOUND);
  restore.mutable_volume_content_source()->mutable_volume()->set_volume_id("fake-vol-id");
  EXPECT_EQ(Create(restore).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(CreateVolume, CreateVolume_Malformed_IsInvalidArgumentAndMakesNothing) {
  std::vector<csi::v1::CreateVolumeRequest> wrong;
  const auto add = [&]() -> csi::v1::CreateVolumeRequest& {
    return wrong.emplace_back(VolumeNamed("a"));
  };
  add().clear_name();
  add().set_name(std::string(129, 'a'));
  add().set_name("a\nb");
  add().clear_volume_capabilities();
  *add().add_volume_capabilities() = Block();
  add().mutable_capacity_range()->set_required_bytes(-1);
  (*add().mutable_parameters())["flavour"] = "vanilla";
  (*add().mutable_mutable_parameters())["iops"] = "1";
  add().mutable_volume_content_source();
  add().mutable_volume_content_source()->mutable_snapshot();
  add().mutable_volume_capabilities(0)->mutable_mount()->add_mount_flags("nobarrier");
  (*add().mutable_secrets())["key"] = std::string(5000, 's');
  for (const auto& request : wrong) {
    EXPECT_EQ(Create(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << request.ShortDebugString().substr(0, 300);
  }
  EXPECT_TRUE(engine_.ListVolumes("", 0)->empty());
}

TEST_F(CreateVolume, CreateVolume_UnknownParameter_ListsTheKnownOnes) {
  auto request = VolumeNamed("a");
  (*request.mutable_parameters())["flavour"] = "vanilla";
  const std::string message = Create(request).error_message();
  for (const char* key : {"flavour", "pool", "provisioning", "reserve", "rootMode", "rootOwner"}) {
    EXPECT_THAT(message, HasSubstr(key));
  }
}

TEST_F(CreateVolume, CreateVolume_SizeThatNoVolumeHas_IsOutOfRange) {
  auto request = VolumeNamed("a", std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Create(request).error_code(), grpc::StatusCode::OUT_OF_RANGE);
  request = VolumeNamed("a");
  request.mutable_capacity_range()->set_limit_bytes(kMiB);
  EXPECT_EQ(Create(request).error_code(), grpc::StatusCode::OUT_OF_RANGE);
}

TEST_F(CreateVolume, CreateVolume_ForAnotherNodeOrAFullPool_IsResourceExhausted) {
  auto elsewhere = VolumeNamed("a");
  (*elsewhere.mutable_accessibility_requirements()
        ->add_requisite()
        ->mutable_segments())[kNodeTopologyKey] = "node-2";
  EXPECT_EQ(Create(elsewhere).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(Create(VolumeNamed("a", 101 * kGiB)).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(engine_.ListVolumes("", 0)->empty());
}

TEST_F(CreateVolume, CreateVolume_WhileTheNameIsBusy_IsAborted) {
  auto guard = engine_.locks().TryLock("volume " + NameHash("a"));
  ASSERT_TRUE(guard.ok());
  EXPECT_EQ(Create(VolumeNamed("a")).error_code(), grpc::StatusCode::ABORTED);
}

class DeleteVolume : public ControllerTest {
 protected:
  grpc::Status Delete(const std::string& id) {
    csi::v1::DeleteVolumeRequest request;
    request.set_volume_id(id);
    csi::v1::DeleteVolumeResponse response;
    return service_.DeleteVolume(nullptr, &request, &response);
  }
};

TEST_F(DeleteVolume, DeleteVolume_TwiceAndOfGarbage_IsOk) {
  const std::string id = MustCreate(VolumeNamed("a"));
  EXPECT_TRUE(Delete(id).ok());
  EXPECT_TRUE(engine_.ListVolumes("", 0)->empty());
  EXPECT_TRUE(Delete(id).ok());
  for (const std::string& garbage :
       {std::string("fake-vol-id"), std::string("../../x"), std::string("\0", 1),
        std::string(129, 'v'), std::string(10 << 20, 'v')}) {
    EXPECT_TRUE(Delete(garbage).ok());
  }
  EXPECT_EQ(Delete("").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(DeleteVolume, DeleteVolume_OfAStagedOne_IsFailedPreconditionAndKeepsIt) {
  const std::string id = MustCreate(VolumeNamed("a"));
  engine_.EditVolume(id, [](Volume& volume) { volume.stage.last_end = LastEnd::kStaged; });
  EXPECT_EQ(Delete(id).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(engine_.ListVolumes("", 0)->size(), 1u);
}

class ListVolumes : public ControllerTest {
 protected:
  grpc::Status List(int max_entries, const std::string& token,
                    csi::v1::ListVolumesResponse* response) {
    csi::v1::ListVolumesRequest request;
    request.set_max_entries(max_entries);
    request.set_starting_token(token);
    response->Clear();
    return service_.ListVolumes(nullptr, &request, response);
  }
};

TEST_F(ListVolumes, ListVolumes_PageByPage_GivesEachOnceEvenWhenThePagesEndGoes) {
  std::set<std::string> made, seen;
  for (int i = 0; i < 7; ++i) made.insert(MustCreate(VolumeNamed(std::to_string(i))));
  csi::v1::ListVolumesResponse response;
  std::string token;
  int pages = 0;
  do {
    ASSERT_TRUE(List(3, token, &response).ok());
    for (const auto& entry : response.entries()) {
      EXPECT_TRUE(seen.insert(entry.volume().volume_id()).second);
    }
    ASSERT_TRUE(engine_.DeleteVolume(response.entries().rbegin()->volume().volume_id()).ok());
    token = response.next_token();
    ++pages;
  } while (!token.empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(seen, made);
}

TEST_F(ListVolumes, ListVolumes_AfterAPageWithoutALimit_GivesTheRest) {
  for (int i = 0; i < 5; ++i) MustCreate(VolumeNamed(std::to_string(i)));
  csi::v1::ListVolumesResponse response;
  ASSERT_TRUE(List(2, "", &response).ok());
  ASSERT_TRUE(List(0, response.next_token(), &response).ok());
  EXPECT_EQ(response.entries_size(), 3);
  EXPECT_TRUE(response.next_token().empty());
}

TEST_F(ListVolumes, ListVolumes_OfAWholePage_StaysUnderFourMiB) {
  csi::v1::Volume largest;
  largest.set_volume_id(MakeId(ObjectKind::kVolume, "0f8fad5b-d9cb-469f-a165-70867728950e", "a"));
  largest.set_capacity_bytes(std::numeric_limits<int64_t>::max());
  largest.mutable_content_source()->mutable_snapshot()->set_snapshot_id(
      MakeId(ObjectKind::kSnapshot, "0f8fad5b-d9cb-469f-a165-70867728950e", "a"));
  (*largest.add_accessible_topology()->mutable_segments())[kNodeTopologyKey] =
      std::string(kMaxNodeIdBytes, 'n');
  csi::v1::ListVolumesResponse page;
  for (uint64_t i = 0; i < kMaxPageEntries; ++i) *page.add_entries()->mutable_volume() = largest;
  EXPECT_LT(page.ByteSizeLong(), 4 * kMiB - 64 * kKiB);
}

TEST_F(ListVolumes, ListVolumes_BadTokenOrCount_IsAbortedOrInvalid) {
  csi::v1::ListVolumesResponse response;
  EXPECT_EQ(List(0, "invalid-token", &response).error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(List(-1, "", &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace holdfast
