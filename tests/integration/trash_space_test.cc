// What lies in the trash is space to be had, and is not given away for nothing.
#include "tests/integration/integration_test.h"
#include "tests/integration/pool_space.h"

namespace holdfast {
namespace {

class TrashSpaceTest : public PoolTest {
 protected:
  TrashSpaceTest() : PoolTest(6 * kGiB) {}
  void SetUp() override {
    PoolTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    driver().set_trash_grace(std::chrono::hours(24));
    Restart();
  }
  void TearDown() override {
    if (!IsSkipped() && !HasFatalFailure()) {
      driver().set_trash_grace(std::chrono::seconds(0));
      Restart();
      Ctl({"trash", "purge", "--all"});
    }
    PoolTest::TearDown();
  }

  uint64_t Maximum() {
    csi::v1::GetCapacityRequest request;
    *request.add_volume_capabilities() = CapabilityOf(Claim{.content = Content::kBlock});
    const auto answer = csi().Call(request);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? static_cast<uint64_t>(answer->maximum_volume_size().value()) : 0;
  }
  size_t TrashEntries() {
    const Ended listed = Ctl({"trash", "list", "--json"});
    EXPECT_EQ(listed.exit_code, 0) << listed.output;
    size_t entries = 0;
    for (size_t at = 0; (at = listed.output.find("incarnation", at)) != std::string::npos; ++at) {
      ++entries;
    }
    return entries;
  }
};

INSTANTIATE_TEST_SUITE_P(Pools, TrashSpaceTest, ::testing::Values(PoolKind::kXfs, PoolKind::kBtrfs),
                         PoolTestName);

TEST_P(TrashSpaceTest, GetCapacitysMaximum_CanBeCreated_AndMoreCostsNobodyHisTrash) {
  for (int round = 0; round < 3; ++round) {
    for (const char* name : {"one", "two"}) {
      ASSERT_OK_AND_ASSIGN(const Claim claim,
                           Create({.name = name, .content = Content::kBlock, .bytes = 300 * kMiB}));
      ASSERT_OK(Delete(claim));
    }
    const size_t entries = TrashEntries();
    ASSERT_GE(entries, 2u);
    const uint64_t maximum = Maximum();
    EXPECT_TRUE(
        Refused(Create({.name = "more", .content = Content::kBlock, .bytes = maximum + 2 * kMiB}),
                absl::StatusCode::kResourceExhausted, {"free", "owed", "floor"}));
    EXPECT_EQ(TrashEntries(), entries) << "purged for what could never fit";
    ASSERT_OK_AND_ASSIGN(const Claim largest,
                         Create({.name = "maximum", .content = Content::kBlock, .bytes = maximum}));
    EXPECT_TRUE(KeepsItsPromises(pool()));
    ASSERT_OK(Delete(largest));
    EXPECT_EQ(Ctl({"trash", "purge", "--all"}).exit_code, 0);
  }
}

}  // namespace
}  // namespace holdfast
