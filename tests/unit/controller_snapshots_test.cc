#include <set>

#include "tests/unit/controller_fixture.h"

namespace holdfast {
namespace {

class Snapshots : public ControllerTest {
 protected:
  void SetUp() override { volume_id_ = MustCreate(VolumeNamed("a")); }

  grpc::Status Delete(const std::string& id) {
    csi::v1::DeleteSnapshotRequest request;
    request.set_snapshot_id(id);
    csi::v1::DeleteSnapshotResponse response;
    return service_.DeleteSnapshot(nullptr, &request, &response);
  }
  csi::v1::ListSnapshotsResponse List(const csi::v1::ListSnapshotsRequest& request) {
    csi::v1::ListSnapshotsResponse response;
    const grpc::Status status = service_.ListSnapshots(nullptr, &request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  std::string volume_id_;
};

TEST_F(Snapshots, CreateSnapshot_Answer_HasSourceSizeTimeAndIsReady) {
  csi::v1::CreateSnapshotResponse response;
  const int64_t before = clock_.UnixNanos() / 1'000'000'000;
  ASSERT_TRUE(Snapshot("s", volume_id_, &response).ok());
  const csi::v1::Snapshot& snapshot = response.snapshot();
  EXPECT_EQ(snapshot.source_volume_id(), volume_id_);
  EXPECT_EQ(snapshot.size_bytes(), static_cast<int64_t>(kGiB));
  EXPECT_GE(snapshot.creation_time().seconds(), before);
  EXPECT_TRUE(snapshot.ready_to_use());
  EXPECT_TRUE(engine_.FindSnapshot(snapshot.snapshot_id())->has_value());
}

TEST_F(Snapshots, CreateSnapshot_SameName_IsTheSameOrAlreadyExistsForAnotherSource) {
  EXPECT_EQ(MustSnapshot("s", volume_id_), MustSnapshot("s", volume_id_));
  EXPECT_EQ(Snapshot("s", MustCreate(VolumeNamed("b"))).error_code(),
            grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(Snapshots, CreateSnapshot_OfNothingOrMalformed_IsNotFoundOrInvalid) {
  EXPECT_EQ(Snapshot("s", "fake-vol-id").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Snapshot("s", "").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Snapshot("", volume_id_).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  csi::v1::CreateSnapshotRequest request;
  csi::v1::CreateSnapshotResponse response;
  request.set_name("s");
  request.set_source_volume_id(volume_id_);
  (*request.mutable_parameters())["csi.storage.k8s.io/volumesnapshot/name"] = "s";
  EXPECT_TRUE(service_.CreateSnapshot(nullptr, &request, &response).ok());
  (*request.mutable_parameters())["flavour"] = "vanilla";
  EXPECT_EQ(service_.CreateSnapshot(nullptr, &request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(Snapshots, DeleteSnapshot_TwiceAndOfGarbage_IsOk) {
  const std::string id = MustSnapshot("s", volume_id_);
  EXPECT_TRUE(Delete(id).ok());
  EXPECT_FALSE(engine_.FindSnapshot(id)->has_value());
  EXPECT_TRUE(Delete(id).ok());
  EXPECT_TRUE(Delete("../x").ok());
  EXPECT_EQ(Delete("").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(Snapshots, GetSnapshot_AnswersWhatCreateAnswered) {
  csi::v1::CreateSnapshotResponse created;
  ASSERT_TRUE(Snapshot("s", volume_id_, &created).ok());
  csi::v1::GetSnapshotRequest request;
  csi::v1::GetSnapshotResponse response;
  request.set_snapshot_id(created.snapshot().snapshot_id());
  ASSERT_TRUE(service_.GetSnapshot(nullptr, &request, &response).ok());
  EXPECT_EQ(response.snapshot().SerializeAsString(), created.snapshot().SerializeAsString());
  request.set_snapshot_id(volume_id_);
  EXPECT_EQ(service_.GetSnapshot(nullptr, &request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  request.clear_snapshot_id();
  EXPECT_EQ(service_.GetSnapshot(nullptr, &request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(Snapshots, ListSnapshots_Filtered_GivesThoseOnlyAndNothingForGarbage) {
  const std::string other_id = MustCreate(VolumeNamed("b"));
  const std::string first = MustSnapshot("s1", volume_id_);
  MustSnapshot("s2", volume_id_);
  const std::string third = MustSnapshot("s3", other_id);
  csi::v1::ListSnapshotsRequest request;
  request.set_snapshot_id(first);
  ASSERT_EQ(List(request).entries_size(), 1);
  EXPECT_EQ(List(request).entries(0).snapshot().snapshot_id(), first);
  request.set_source_volume_id(other_id);
  EXPECT_EQ(List(request).entries_size(), 0);
  request.clear_snapshot_id();
  ASSERT_EQ(List(request).entries_size(), 1);
  EXPECT_EQ(List(request).entries(0).snapshot().snapshot_id(), third);
  request.set_source_volume_id("fake-vol-id");
  EXPECT_EQ(List(request).entries_size(), 0);
}

TEST_F(Snapshots, ListSnapshots_PageByPage_GivesEachOnce) {
  std::set<std::string> made, seen;
  for (int i = 0; i < 5; ++i) made.insert(MustSnapshot(std::to_string(i), volume_id_));
  csi::v1::ListSnapshotsRequest request;
  request.set_max_entries(2);
  int pages = 0;
  do {
    const auto response = List(request);
    for (const auto& entry : response.entries()) seen.insert(entry.snapshot().snapshot_id());
    request.set_starting_token(response.next_token());
    ++pages;
  } while (!request.starting_token().empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(seen, made);
  request.set_starting_token("invalid-token");
  csi::v1::ListSnapshotsResponse response;
  EXPECT_EQ(service_.ListSnapshots(nullptr, &request, &response).error_code(),
            grpc::StatusCode::ABORTED);
}

}  // namespace
}  // namespace holdfast
