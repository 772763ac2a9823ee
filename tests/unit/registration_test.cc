// What kubelet hears and says over pluginregistration/v1, and the socket it finds it by.
#include "registration/registration_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "grpcpp/grpcpp.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Registration : public ::testing::Test {
 protected:
  Registration() : folder_(::testing::TempDir() + "registration") { fs::create_directory(folder_); }
  ~Registration() override { fs::remove_all(folder_); }

  absl::StatusOr<std::unique_ptr<RegistrationSocket>> Serve() {
    return RegistrationSocket::Serve(Path(), "/run/holdfast/csi.sock", [this](const auto& status) {
      heard_.push_back(status.ToString());
    });
  }
  std::string Path() const { return *RegistrationSocket::PathIn(folder_); }
  // As kubelet does.
  std::unique_ptr<pluginregistration::Registration::Stub> Dial() const {
    return pluginregistration::Registration::NewStub(
        grpc::CreateChannel("unix:" + Path(), grpc::InsecureChannelCredentials()));
  }
  grpc::Status Notify(bool registered, const std::string& error) const {
    pluginregistration::RegistrationStatus status;
    status.set_plugin_registered(registered);
    status.set_error(error);
    pluginregistration::RegistrationStatusResponse response;
    grpc::ClientContext context;
    return Dial()->NotifyRegistrationStatus(&context, status, &response);
  }

  const std::string folder_;
  std::vector<std::string> heard_;
};

TEST_F(Registration, GetInfo_NamesTheDriverItsSocketAndItsVersion) {
  const auto socket = Serve();
  ASSERT_TRUE(socket.ok()) << socket.status();
  pluginregistration::PluginInfo info;
  grpc::ClientContext context;
  ASSERT_TRUE(Dial()->GetInfo(&context, {}, &info).ok());
  EXPECT_EQ(info.type(), "CSIPlugin");
  EXPECT_EQ(info.name(), "csi.holdfast.dev");
  EXPECT_EQ(info.endpoint(), "/run/holdfast/csi.sock");
  EXPECT_THAT(info.supported_versions(), ElementsAre("1.0.0"));
  EXPECT_EQ(fs::path(Path()).filename(), "csi.holdfast.dev-reg.sock");
}

TEST_F(Registration, KubeletsVerdict_IsHeardAndAlwaysAnsweredWithOk) {
  const auto socket = Serve();
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_TRUE(Notify(false, "no CSINode yet").ok());
  EXPECT_TRUE(Notify(true, "").ok());
  EXPECT_THAT(heard_, ElementsAre("FAILED_PRECONDITION: no CSINode yet", "OK"));
}

TEST_F(Registration, Socket_IsItsOwnersAloneAndGoesWithTheServer) {
  auto socket = Serve();
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_EQ(fs::status(Path()).permissions(), fs::perms(0600));
  socket->reset();
  EXPECT_FALSE(fs::exists(Path()));
}

TEST_F(Registration, SecondServerInTheFolder_IsRefusedWithTheOptionThatHelps) {
  const auto socket = Serve();
  ASSERT_TRUE(socket.ok()) << socket.status();
  const auto second = Serve();
  ASSERT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another --kubelet-registration"));
  EXPECT_TRUE(Notify(true, "").ok()) << "the first one was disturbed";
}

TEST_F(Registration, SomethingElseAtThePath_IsRefusedAndKept) {
  std::ofstream(Path()) << "an administrator's note";
  EXPECT_EQ(Serve().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(fs::is_regular_file(Path()));
}

TEST(RegistrationPath, TooLongForASocket_IsRefused) {
  EXPECT_TRUE(RegistrationSocket::PathIn("/var/lib/kubelet/plugins_registry").ok());
  EXPECT_FALSE(RegistrationSocket::PathIn("/" + std::string(90, 'k')).ok());
}

}  // namespace
}  // namespace holdfast
