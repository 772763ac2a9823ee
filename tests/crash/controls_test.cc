// That the suite would see what it looks for: the tracer kills where it says, and the audit of a
// pool that nobody recovered finds what the kill left.
#include <filesystem>

#include "gtest/gtest-spi.h"
#include "tests/crash/crash_world.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

OperationKind KindOf(const std::string& name) {
  for (OperationKind& kind : ControllerOperations()) {
    if (kind.name == name) return kind;
  }
  return {};
}

size_t FilesIn(const std::string& folder) {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

class ControlTest : public CrashWorld {
 protected:
  void SetUp() override {
    CrashWorld::SetUp();
    operation_ = GetParam().kind.make();
    operation_->SetUp(*this);
    ASSERT_FALSE(HasFailure());
  }

  // The driver is dead then, and nothing is recovered.
  void KillAt(const KillPoint& point) {
    operation_->Prepare(*this);
    ASSERT_TRUE(Interrupt(*operation_, point));
  }

  // A start recovers; what was begun is made again and taken away.
  void Recover() {
    ASSERT_TRUE(traced().Start()) << driver().Log();
    Connect();
    ASSERT_TRUE(traced().WaitForOrphans());
    FinishAndCheck(*operation_);
  }

  // How many expectations of the audit fail.
  int FindingsOfAudit() {
    ::testing::TestPartResultArray failures;
    {
      const ::testing::ScopedFakeTestPartResultReporter reporter(
          ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
      Audit();
    }
    return failures.size();
  }

  std::unique_ptr<Operation> operation_;
};

class CreateControlTest : public ControlTest {};
class SnapshotControlTest : public ControlTest {};

INSTANTIATE_TEST_SUITE_P(Control, CreateControlTest,
                         ::testing::Values(CrashCase{KindOf("CreateVolume"), {}}), CrashCaseName);
INSTANTIATE_TEST_SUITE_P(Control, SnapshotControlTest,
                         ::testing::Values(CrashCase{KindOf("SnapshotMounted"), {}}),
                         CrashCaseName);

TEST_P(CreateControlTest, KillBeforeTheRename_LeavesTheImageInWork_AndAfterItInVolumes) {
  KillAt({.when = KillWhen::kBefore, .name = "renameat2"});
  EXPECT_EQ(FilesIn(pool() + "/work"), 1u);
  EXPECT_EQ(FilesIn(pool() + "/volumes"), 0u);
  Recover();
  ASSERT_FALSE(HasFailure());
  KillAt({.when = KillWhen::kAfter, .name = "renameat2"});
  EXPECT_EQ(FilesIn(pool() + "/work"), 0u);
  EXPECT_EQ(FilesIn(pool() + "/volumes"), 1u);
  Recover();
}

TEST_P(CreateControlTest, CallsOfAllThreadsAreCounted_AndThoseOfMkfsAreNot) {
  traced().Arm({});
  ASSERT_OK(operation_->Call(*this));  // on a thread of gRPC's
  traced().Disarm();
  int renames = 0, starts = 0, writes_to_image = 0;
  for (uint32_t call = 1; call <= traced().Count(); ++call) {
    const std::string name = traced().CallName(call);
    renames += name.starts_with("renameat2");
    starts += name.starts_with("clone") || name.starts_with("vfork");
    writes_to_image += name.starts_with("pwrite") && name.ends_with(".img");
  }
  EXPECT_EQ(renames, 1);
  EXPECT_EQ(starts, 1) << "mke2fs";
  EXPECT_EQ(writes_to_image, 0) << "mke2fs writes to it, the driver does not";
  operation_->Clean(*this);
}

TEST_P(CreateControlTest, AuditOfAPoolThatNobodyRecovered_FindsTheHalfMadeVolume) {
  KillAt(InterruptionOf(*operation_));
  EXPECT_GT(FindingsOfAudit(), 0);
  Recover();
}

TEST_P(SnapshotControlTest, AuditWithoutRecovery_FindsTheFrozenFilesystem) {
  KillAt(InterruptionOf(*operation_));
  ::testing::TestPartResultArray failures;
  {
    const ::testing::ScopedFakeTestPartResultReporter reporter(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    ExpectWritable(source, target, std::chrono::seconds(1));
  }
  ASSERT_EQ(failures.size(), 1);
  EXPECT_NE(std::string(failures.GetTestPartResult(0).message()).find("frozen"), std::string::npos);
  Recover();
}

// A record of a freeze was a file that was made and then written: killed in between, the driver
// left an empty one, which no start took away.
TEST_P(SnapshotControlTest, KilledAtAnyCallAroundTheRecordOfAFreeze_LeavesNoRecord) {
  const std::string records = driver().run_folder() + "/freezes";
  for (const char* call : {"mkdir", "openat", "FIFREEZE", "FITHAW", "unlink"}) {
    for (const KillWhen when : {KillWhen::kBefore, KillWhen::kAfter}) {
      SCOPED_TRACE(call);
      KillAt({.when = when, .name = call});
      ASSERT_FALSE(HasFailure());
      Recover();
      ASSERT_FALSE(HasFailure());
      EXPECT_EQ(FilesIn(records), 0u);
    }
  }
}

}  // namespace
}  // namespace holdfast
