// Access modes and mount flags.
#include <fstream>
#include <sstream>

#include "tests/integration/integration_test.h"

namespace holdfast {
namespace {

class AccessTest : public GroundTest {};

INSTANTIATE_TEST_SUITE_P(Grounds, AccessTest, ::testing::ValuesIn(ContentGrounds()), GroundName);

TEST_P(AccessTest, SecondTarget_IsForMultiWriterAndReadersOnly) {
  ASSERT_OK_AND_ASSIGN(Claim claim, Create({.name = "modes", .content = content()}));
  for (const Mode mode : {kReadWriteOnce, kReadWriteOncePod, kMultiWriter, kReadOnlyMany}) {
    SCOPED_TRACE(csi::v1::VolumeCapability::AccessMode::Mode_Name(mode));
    claim.mode = mode;
    ASSERT_OK(Stage(claim));
    ASSERT_OK(Publish(claim, "first"));
    const bool several = mode == kMultiWriter || mode == kReadOnlyMany;
    const auto second = Publish(claim, "second");
    if (several) {
      EXPECT_OK(second);
      ASSERT_OK(Unpublish(claim, "second"));
    } else {
      EXPECT_TRUE(Refused(second, absl::StatusCode::kFailedPrecondition,
                          {"one target at a time", TargetPath(claim, "first")}));
      EXPECT_FALSE(Mounted(TargetPath(claim, "second")));
    }
    ASSERT_OK(Unpublish(claim, "first"));
    ASSERT_OK(Publish(claim, "second"));
    ASSERT_OK(Unpublish(claim, "second"));
    ASSERT_OK(Unstage(claim));
  }
}

TEST_P(AccessTest, StageAgainWithAnotherCapability_IsAlreadyExists) {
  ASSERT_OK_AND_ASSIGN(Claim claim, Create({.name = "restaged", .content = content()}));
  ASSERT_OK(Stage(claim));
  Claim other = claim;
  other.mode = kReadOnlyMany;
  EXPECT_TRUE(Refused(Stage(other), absl::StatusCode::kAlreadyExists));
  ASSERT_OK(Publish(claim));
  EXPECT_TRUE(Refused(Stage(other), absl::StatusCode::kAlreadyExists));
  ASSERT_OK(Stage(claim));
  other = claim;
  other.content = block() ? Content::kExt4 : Content::kBlock;
  EXPECT_TRUE(Refused(Stage(other), absl::StatusCode::kAlreadyExists));
  EXPECT_TRUE(Refused(Publish(other), absl::StatusCode::kAlreadyExists));
  EXPECT_TRUE(Refused(Publish(other, "another"), absl::StatusCode::kInvalidArgument));
  ASSERT_OK(Unpublish(claim));
  ASSERT_OK(Unstage(claim));
  EXPECT_TRUE(Refused(Stage(other), absl::StatusCode::kInvalidArgument));
}

TEST_P(AccessTest, PublishAgainOtherwise_IsAlreadyExists_AndReadOnlyIsReadOnly) {
  ASSERT_OK_AND_ASSIGN(Claim claim, Create({.name = "republished", .content = content()}));
  claim.mode = block() ? kReadOnlyMany : kMultiWriter;
  ASSERT_OK(Stage(claim));
  ASSERT_OK_AND_ASSIGN(const std::string target, Publish(claim, "reader", /*read_only=*/true));
  EXPECT_NE(WriteBytes(DataPath(claim, target), 0, kBlockBytes, 1), 0);
  EXPECT_OK(Publish(claim, "reader", /*read_only=*/true));
  if (block()) return;
  EXPECT_TRUE(Refused(Publish(claim, "reader"), absl::StatusCode::kAlreadyExists));
  ASSERT_OK_AND_ASSIGN(const std::string writable, Publish(claim, "writer"));
  EXPECT_EQ(WriteBytes(DataPath(claim, writable), 0, kBlockBytes, 1), 0);
  EXPECT_TRUE(HasBytes(DataPath(claim, target), 0, kBlockBytes, 1));
}

class MountFlagsTest : public IntegrationTest {
 protected:
  // The options of the mount at a path, those of the filesystem included.
  static std::string OptionsOf(const std::string& path) {
    return MustRun({"findmnt", "--noheadings", "--output=OPTIONS", "--mountpoint", path});
  }
};

TEST_F(MountFlagsTest, FlagsThatDefeatThePromise_AreRefusedByName_EverywhereTheyAreSaid) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "flags"}));
  ASSERT_OK_AND_ASSIGN(const Claim staged, Create({.name = "staged"}));
  ASSERT_OK(Stage(staged));
  for (const std::string flag :
       {"nouuid", "norecovery", "noload", "errors=continue", "data=writeback", "data_err=ignore",
        "nobarrier", "barrier=0", "loop", "loop=/dev/loop7", "bind", "rbind", "remount", "offset=1",
        "subvol=x", "noatime,nouuid", "suid", "dev", "X-mount.mkdir"}) {
    SCOPED_TRACE(flag);
    const std::string name = flag.substr(0, 7) == "noatime" ? "nouuid" : flag;
    Claim flagged = claim;
    flagged.mount_flags = {flag};
    EXPECT_TRUE(Refused(Stage(flagged), absl::StatusCode::kInvalidArgument, {name}));
    Claim published = staged;
    published.mount_flags = {flag};
    EXPECT_TRUE(Refused(Publish(published), absl::StatusCode::kInvalidArgument, {name}));
    csi::v1::CreateVolumeRequest request;
    request.set_name("never");
    *request.add_volume_capabilities() = CapabilityOf(flagged);
    EXPECT_TRUE(Refused(csi().Call(request), absl::StatusCode::kInvalidArgument, {name}));
    csi::v1::ValidateVolumeCapabilitiesRequest validate;
    validate.set_volume_id(claim.id);
    *validate.add_volume_capabilities() = CapabilityOf(flagged);
    const auto answer = csi().Call(validate);
    EXPECT_TRUE(!answer.ok() || !answer->has_confirmed());
  }
  EXPECT_FALSE(Mounted(StagingPath(claim)));
}

TEST_F(MountFlagsTest, LawfulFlags_AreWhatTheMountTableSays) {
  ASSERT_OK_AND_ASSIGN(Claim claim, Create({.name = "lawful"}));
  claim.mount_flags = {"noatime", "commit=17,noexec"};
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  for (const std::string& path : {StagingPath(claim), target}) {
    const std::string options = "," + OptionsOf(path) + ",";
    for (const char* option : {"noatime", "commit=17", "noexec", "nosuid", "nodev",
                               "errors=remount-ro", "data_err=abort"}) {
      EXPECT_NE(options.find(std::string(",") + option + ","), std::string::npos)
          << path << ": " << option << " is not in " << options;
    }
  }
}

TEST_F(MountFlagsTest, SelinuxContextWithQuotedCommas_IsOneOption) {
  ASSERT_OK_AND_ASSIGN(Claim claim, Create({.name = "labelled"}));
  claim.mount_flags = {"context=\"system_u:object_r:container_file_t:s0:c1,c2\"", "noatime"};
  const absl::Status staged = Stage(claim);
  if (staged.ok()) return;
  // A kernel without SELinux does not know the option, whose name it was told as a whole.
  EXPECT_TRUE(Refused(staged, absl::StatusCode::kFailedPrecondition, {"context"}));
  EXPECT_EQ(staged.message().find("'c2"), std::string::npos) << staged;
  EXPECT_FALSE(Mounted(StagingPath(claim)));
}

TEST_F(MountFlagsTest, FlagsTheFilesystemDoesNotKnow_AreRefusedInTheKernelsWords) {
  ASSERT_OK_AND_ASSIGN(Claim claim, Create({.name = "unknown"}));
  claim.mount_flags = {"made_up_option=1"};
  EXPECT_TRUE(Refused(Stage(claim), absl::StatusCode::kFailedPrecondition, {"made_up_option"}));
  EXPECT_FALSE(Mounted(StagingPath(claim)));
  claim.mount_flags.clear();
  EXPECT_OK(Stage(claim));
}

}  // namespace
}  // namespace holdfast
