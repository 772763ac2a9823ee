// The administrator's calls as gRPC makes them: what is malformed, and what comes back.
#include "admin/admin_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fakes/status_asserts.h"
#include "tests/rig/rig.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

class AdminServiceTest : public testing::Test {
 protected:
  AdminServiceTest() : rig_({.trash_grace = std::chrono::hours(24)}) {}

  std::string RefusedVolume() {
    const std::string id = rig_.MustCreate("a");
    rig_.machine.EditRootOffline(rig_.ImagePath(id),
                                 [](RootAttributes& root) { root.mode = 0711; });
    EXPECT_FALSE(rig_.Stage(id).ok());
    return id;
  }
  grpc::Status Acknowledge(const std::string& id, admin::v1::AcknowledgeVolumeResponse& response,
                           bool as_recorded = false) {
    admin::v1::AcknowledgeVolumeRequest request;
    request.set_volume_id(id);
    request.set_as_recorded(as_recorded);
    return rig_.admin->AcknowledgeVolume(nullptr, &request, &response);
  }

  Rig rig_;
  admin::v1::AcknowledgeVolumeResponse acknowledged_;
};

TEST_F(AdminServiceTest, AcknowledgeVolume_MakesWhatWasFoundTheRecordAndSaysSo) {
  const std::string id = RefusedVolume();
  ASSERT_TRUE(Acknowledge(id, acknowledged_).ok());
  EXPECT_EQ(acknowledged_.accepted(), "mode 0711 (was mode 0755)");
  EXPECT_THAT(acknowledged_.refusal(), HasSubstr("found mode 0711"));
  EXPECT_EQ(rig_.Row(id).stage.root->mode, 0711U);
  EXPECT_TRUE(rig_.Stage(id).ok());
  const grpc::Status again = Acknowledge(id, acknowledged_);
  EXPECT_EQ(again.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(again.error_message(), HasSubstr(id));
}

TEST_F(AdminServiceTest, AcknowledgeVolume_AsRecorded_IsForWhatWasPutBack) {
  const std::string id = RefusedVolume();
  ASSERT_TRUE(Acknowledge(id, acknowledged_, /*as_recorded=*/true).ok());
  EXPECT_EQ(rig_.Row(id).stage.root->mode, 0755U);
  EXPECT_THAT(rig_.Stage(id).error_message(), HasSubstr("found mode 0711")) << "nobody put it back";
  rig_.machine.EditRootOffline(rig_.ImagePath(id), [](RootAttributes& root) { root.mode = 0755; });
  EXPECT_FALSE(rig_.Stage(id).ok()) << "somebody has to say so";
  ASSERT_TRUE(Acknowledge(id, acknowledged_, /*as_recorded=*/true).ok());
  EXPECT_THAT(acknowledged_.accepted(), HasSubstr("as recorded"));
  EXPECT_THAT(acknowledged_.refusal(), HasSubstr("found mode 0711"));
  EXPECT_TRUE(rig_.Stage(id).ok());
}

TEST_F(AdminServiceTest, AcknowledgeVolume_OfWhatCouldNotBeRead_KeepsTheVerdict) {
  const std::string id = RefusedVolume();
  Volume row = rig_.Row(id);
  row.stage.verdict->found.reset();
  ASSERT_OK(rig_.engine->pools().front()->catalog->UpdateVolume(row));
  EXPECT_EQ(Acknowledge(id, acknowledged_).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(rig_.Row(id).stage.verdict.has_value());
}

TEST_F(AdminServiceTest, AcknowledgeVolume_WhileACallHasTheVolume_IsAborted) {
  const std::string id = RefusedVolume();
  const auto guard = rig_.engine->locks().TryLock(VolumeKey(NameHash("a")));
  EXPECT_EQ(Acknowledge(id, acknowledged_).error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(Acknowledge("vol-x", acknowledged_).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Acknowledge("", acknowledged_).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(AdminServiceTest, AdoptOrphan_TakesNamesOfFilesInThreeFoldersOnly) {
  for (const auto& [folder, file] :
       std::vector<std::pair<std::string, std::string>>{{"work", "a.img"},
                                                        {"", "a.img"},
                                                        {"../volumes", "a.img"},
                                                        {"volumes", ""},
                                                        {"volumes", ".."},
                                                        {"volumes", "../catalog.db"},
                                                        {"volumes", std::string("a\0b", 3)}}) {
    admin::v1::AdoptOrphanRequest request;
    request.set_pool("default");
    request.set_folder(folder);
    request.set_file(file);
    request.set_name("x");
    admin::v1::AdoptOrphanResponse response;
    EXPECT_EQ(rig_.admin->AdoptOrphan(nullptr, &request, &response).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT)
        << folder << "/" << file;
  }
}

TEST_F(AdminServiceTest, Examine_CountsWhatWasLookedAt) {
  rig_.MustCreate("a");
  rig_.machine.MakeFile("/pool/volumes/\xff\xfe");
  admin::v1::ExamineRequest request;
  admin::v1::ExamineResponse response;
  ASSERT_TRUE(rig_.admin->Examine(nullptr, &request, &response).ok());
  EXPECT_EQ(response.pools(), 1U);
  EXPECT_EQ(response.volumes(), 1U);
  EXPECT_EQ(response.files(), 2U);
  ASSERT_EQ(response.findings_size(), 1);
  EXPECT_EQ(response.findings(0).object(), "volumes/\xff\xfe");
  std::string wire;
  EXPECT_TRUE(response.SerializeToString(&wire));
  EXPECT_TRUE(response.ParseFromString(wire)) << "a file's name is bytes";
}

}  // namespace
}  // namespace holdfast
