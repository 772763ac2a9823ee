// What an administrator does beside a running server: trash, orphans, a larger disk, a shutdown.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "catalog/catalog.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/integration/integration_test.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

class AdminTest : public GroundTest {
 protected:
  // The server keeps what is deleted; a test's end deletes for good.
  void SetUp() override {
    GroundTest::SetUp();
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
    GroundTest::TearDown();
  }

  json Json(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const Ended ended = Ctl(arguments);
    EXPECT_EQ(ended.exit_code, 0) << ended.output;
    return json::parse(ended.output, nullptr, false);
  }
  std::string CtlMust(const std::vector<std::string>& arguments) {
    const Ended ended = Ctl(arguments);
    EXPECT_EQ(ended.exit_code, 0) << ended.output;
    return ended.output;
  }
  // Its row is taken away behind the driver: nobody claims its image any more.
  void LoseRow(const Claim& claim) {
    const auto catalog = OpenCatalog(pool() + "/catalog.db", Catalog::Access::kReadWrite);
    ASSERT_TRUE(catalog.ok()) << catalog.status();
    ASSERT_OK((*catalog)->RemoveVolume(claim.id));
  }
};

INSTANTIATE_TEST_SUITE_P(Grounds, AdminTest, ::testing::ValuesIn(ContentGrounds()), GroundName);

TEST_P(AdminTest, DeletedVolume_ComesBackFromTheTrashWithItsBytesAndItsRecord) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "precious", .content = content()}));
  ASSERT_OK_AND_ASSIGN(std::string target, Show(claim));
  ASSERT_EQ(WriteBytes(DataPath(claim, target), 0, 4 * kMiB, 1), 0);
  ASSERT_OK(PutAway(claim));
  const Volume before = Row(claim);
  ASSERT_OK(Delete(claim));
  EXPECT_THAT(CtlMust({"trash", "list"}), HasSubstr("precious"));
  const std::string restored = CtlMust({"trash", "restore", claim.id});
  EXPECT_EQ(restored, "restored " + claim.id + " (precious)\n");
  EXPECT_EQ(Row(claim).stage.root, before.stage.root);
  EXPECT_EQ(Row(claim).image_inode, before.image_inode);
  ASSERT_OK_AND_ASSIGN(target, Show(claim));
  EXPECT_TRUE(HasBytes(DataPath(claim, target), 0, 4 * kMiB, 1));
  ASSERT_OK(PutAway(claim));
  ASSERT_OK(Delete(claim));
}

TEST_P(AdminTest, TrashIsPurgedWhenAskedAndOnlyThen) {
  ASSERT_OK_AND_ASSIGN(const Claim first, Create({.name = "first", .content = content()}));
  ASSERT_OK_AND_ASSIGN(const Claim second, Create({.name = "second", .content = content()}));
  ASSERT_OK(Delete(first));
  ASSERT_OK(Delete(second));
  ASSERT_EQ(Json({"trash", "list"})["trash"].size(), 2U);
  EXPECT_THAT(CtlMust({"trash", "purge", "first"}), HasSubstr("purged volume " + first.id));
  EXPECT_EQ(Json({"trash", "list"})["trash"][0]["name"], "second");
  EXPECT_EQ(Ctl({"trash", "restore", "first"}).exit_code, 1);
  EXPECT_EQ(Ctl({"trash", "purge"}).exit_code, 1);
  CtlMust({"trash", "purge", "--all"});
  EXPECT_TRUE(fs::is_empty(pool() + "/trash"));
}

TEST_P(AdminTest, ImageWhoseRowWasLost_IsAdoptedWithItsBytes) {
  ASSERT_OK_AND_ASSIGN(const Claim lost, Create({.name = "lost", .content = content()}));
  ASSERT_OK_AND_ASSIGN(std::string target, Show(lost));
  ASSERT_EQ(WriteBytes(DataPath(lost, target), 0, 4 * kMiB, 2), 0);
  if (!block()) MustRun({"chmod", "0711", target});
  ASSERT_OK(PutAway(lost));
  const std::string file = fs::path(ImagePath(lost)).filename();
  LoseRow(lost);
  const json orphans = Json({"orphan", "list"})["orphans"];
  ASSERT_EQ(orphans.size(), 1U);
  EXPECT_EQ(orphans[0]["file"], "volumes/" + file);
  EXPECT_EQ(orphans[0]["content"].get<std::string>(), block() ? "unknown" : ContentName(content()));
  std::vector<std::string> adopt = {"orphan", "adopt", "volumes/" + file, "--name", "lost"};
  if (block()) {
    EXPECT_EQ(Ctl(adopt).exit_code, 1);
    adopt.push_back("--block");
  }
  const std::string said = CtlMust(adopt);
  EXPECT_THAT(said, HasSubstr("adopted volumes/" + file + " as " + lost.id));
  if (!block()) {
    EXPECT_THAT(said, HasSubstr("mode 0711"));
  }
  EXPECT_EQ(Json({"orphan", "list"})["orphans"].size(), 0U);
  ASSERT_OK_AND_ASSIGN(target, Show(lost));
  EXPECT_TRUE(HasBytes(DataPath(lost, target), 0, 4 * kMiB, 2));
  ASSERT_OK_AND_ASSIGN(const std::string snapshot, Snapshot(lost, "of the adopted"));
  ASSERT_OK(PutAway(lost));
}

TEST_P(AdminTest, DrainOrderFollowedToItsEnd_FreesTheDisk) {
  ASSERT_OK_AND_ASSIGN(Claim claim, Create({.name = "used", .content = content()}));
  claim.mode = kMultiWriter;
  ASSERT_OK(Show(claim));
  ASSERT_OK(Publish(claim, "second pod"));
  const json order = Json({"pool", "drain-order"});
  ASSERT_EQ(order["targets"].size(), 2U) << order.dump();
  ASSERT_EQ(order["stages"].size(), block() ? 0U : 1U) << order.dump();
  ASSERT_EQ(order["loops"].size(), 1U) << order.dump();
  ASSERT_EQ(order["pools"].size(), 2U) << order.dump();
  EXPECT_EQ(order["pools"][0]["object"], pool());
  // Only the last ones need not be done: the fixture has that disk.
  for (const char* phase : {"targets", "stages", "loops"}) {
    for (const json& step : order[phase]) {
      const std::string command = step["command"];
      if (!command.empty()) MustRun({"sh", "-c", command});
    }
  }
  EXPECT_THAT(MountsBelow(driver().kubelet()), ::testing::IsEmpty());
  for (int i = 0; i < 200 && !LoopsOfImage(claim).empty(); ++i) usleep(10'000);
  EXPECT_THAT(LoopsOfImage(claim), ::testing::IsEmpty());
  // The record did not see its end; what kubelet does next puts it right.
  EXPECT_OK(Unpublish(claim, "second pod"));
  EXPECT_OK(Unpublish(claim));
  EXPECT_OK(Unstage(claim));
}

class AdminPoolTest : public PoolTest {
 protected:
  AdminPoolTest() : PoolTest(2 * kGiB) {}
};
INSTANTIATE_TEST_SUITE_P(Pools, AdminPoolTest, ::testing::Values(PoolKind::kXfs, PoolKind::kBtrfs),
                         PoolTestName);

TEST_P(AdminPoolTest, LargerDisk_GrowsThePoolUnderItsVolumes) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "used", .content = Content::kExt4}));
  ASSERT_OK_AND_ASSIGN(const std::string target, Show(claim));
  ASSERT_EQ(WriteBytes(target + "/data", 0, 4 * kMiB, 3), 0);
  EXPECT_TRUE(Refused(Create({.name = "large", .bytes = 3 * kGiB}),
                      absl::StatusCode::kResourceExhausted, {}));
  MustRun({"truncate", "--size", "6G", pool() + ".disk"});
  MustRun({"losetup", "--set-capacity", MustRun({"findmnt", "-no", "SOURCE", pool()})});
  const Ended grown = Ctl({"pool", "grow", "--json"});
  ASSERT_EQ(grown.exit_code, 0) << grown.output;
  const json after = json::parse(grown.output)["pools"][0];
  EXPECT_LE(after["before"]["size_bytes"].get<uint64_t>(), 2 * kGiB);
  EXPECT_GT(after["after"]["size_bytes"].get<uint64_t>(), 5 * kGiB);
  ASSERT_OK(Create({.name = "large", .bytes = 3 * kGiB}));
  EXPECT_TRUE(HasBytes(target + "/data", 0, 4 * kMiB, 3));
  EXPECT_EQ(Ctl({"pool", "grow"}).exit_code, 0) << "once more is nothing more";
}

TEST_P(AdminPoolTest, WithoutAServer_ListingWorksAndChangingIsRefusedInOneSentence) {
  ASSERT_OK_AND_ASSIGN(const Claim claim, Create({.name = "used", .content = Content::kExt4}));
  EXPECT_EQ(driver().Stop(), 0);
  MustRun({"touch", pool() + "/volumes/stray"});
  for (const std::vector<std::string>& listing : std::vector<std::vector<std::string>>{
           {"trash", "list"}, {"orphan", "list"}, {"pool", "drain-order"}, {"pool", "status"}}) {
    const Ended ended = Ctl(listing);
    EXPECT_EQ(ended.exit_code, 0) << ended.output;
  }
  const Ended looked = Ctl({"doctor"});
  EXPECT_EQ(looked.exit_code, 1);
  EXPECT_THAT(looked.output, HasSubstr("no server answers"));
  EXPECT_THAT(looked.output, HasSubstr("orphan  volumes/stray"));
  for (const std::vector<std::string>& change :
       std::vector<std::vector<std::string>>{{"doctor", "--fix"},
                                             {"pool", "grow"},
                                             {"volume", "acknowledge", claim.id},
                                             {"orphan", "adopt", "volumes/stray", "--name", "x"}}) {
    const Ended ended = Ctl(change);
    EXPECT_EQ(ended.exit_code, 1) << ended.output;
    EXPECT_THAT(ended.output, HasSubstr("expected a running server, found none"));
    EXPECT_EQ(std::count(ended.output.begin(), ended.output.end(), '\n'), 1) << ended.output;
  }
  MustRun({"rm", pool() + "/volumes/stray"});
  ASSERT_TRUE(driver().Start()) << driver().Log();
  Restart();
}

TEST_P(AdminPoolTest, AdminSocket_IsForItsOwnerAndSpeaksNoCsi) {
  struct stat facts {};
  ASSERT_EQ(stat(driver().admin_socket().c_str(), &facts), 0);
  EXPECT_TRUE(S_ISSOCK(facts.st_mode));
  EXPECT_EQ(facts.st_mode & 0777, 0600U);
  CsiClient stranger(driver().admin_socket());
  EXPECT_TRUE(
      Refused(stranger.Call(csi::v1::ListVolumesRequest()), absl::StatusCode::kUnimplemented, {}));
}

}  // namespace
}  // namespace holdfast
