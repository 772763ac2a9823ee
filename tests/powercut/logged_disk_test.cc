// The disk that the suite stands on: what it keeps of what, and that flushes arrive at it.
#include "tests/powercut/logged_disk.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "os/unique_fd.h"
#include "tests/powercut/ledger.h"
#include "tests/powercut/pool_disk.h"

namespace holdfast::powercut {
namespace {

using Fate = LoggedDisk::Fate;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
constexpr uint64_t kPage = LoggedDisk::kPageBytes;

void Put(LoggedDisk& disk, uint64_t page, char byte, uint64_t pages = 1) {
  disk.Write(page * kPage, pages * kPage, std::string(pages * kPage, byte).data());
}

// The first byte of each page; '-': zeroes.
std::string Seen(const LoggedDisk::Pages& pages) {
  std::string seen;
  for (const auto& page : pages) seen += page == nullptr ? '-' : page->front();
  return seen;
}

std::set<std::string> Outcomes(const LoggedDisk& disk, size_t cut, Fate fate) {
  std::set<std::string> outcomes;
  std::mt19937_64 random(1);
  for (int i = 0; i < 500; ++i) outcomes.insert(Seen(disk.AfterCut(cut, fate, random)));
  return outcomes;
}

TEST(LoggedDisk, Cut_KeepsWhatWasFlushed_AndLosesWhatCameLater) {
  LoggedDisk disk(4 * kPage);
  Put(disk, 0, 'a');
  disk.Record();
  Put(disk, 1, 'b');
  disk.Flush();
  Put(disk, 2, 'c');
  Put(disk, 3, 'd');
  EXPECT_EQ(disk.Position(), 4u);
  EXPECT_THAT(Outcomes(disk, 0, Fate::kKept), ElementsAre("a---"));
  EXPECT_THAT(Outcomes(disk, 1, Fate::kLost), ElementsAre("a---"));
  EXPECT_THAT(Outcomes(disk, 3, Fate::kLost), ElementsAre("ab--"));
  EXPECT_THAT(Outcomes(disk, 3, Fate::kKept), ElementsAre("abc-"));
  EXPECT_THAT(Outcomes(disk, 4, Fate::kByPage), ElementsAre("ab--", "ab-d", "abc-", "abcd"));
}

TEST(LoggedDisk, UnflushedWrites_AreReorderedAndTorn) {
  LoggedDisk disk(2 * kPage);
  disk.Record();
  Put(disk, 0, 'a', 2);
  Put(disk, 0, 'b', 2);
  EXPECT_THAT(Outcomes(disk, 2, Fate::kByPage),
              ElementsAre("--", "-a", "-b", "a-", "aa", "ab", "b-", "ba", "bb"));
  EXPECT_THAT(Outcomes(disk, 2, Fate::kByWrite), ::testing::IsSupersetOf({"--", "aa", "bb", "ab"}));
}

TEST(LoggedDisk, DiskThatIgnoresFlushes_LosesWhatWasFlushed) {
  LoggedDisk disk(kPage);
  disk.Record();
  Put(disk, 0, 'a');
  disk.Flush();
  std::set<std::string> outcomes;
  std::mt19937_64 random(1);
  for (int i = 0; i < 100; ++i) {
    outcomes.insert(Seen(disk.AfterCutWithoutFlushes(0, 2, random)));
  }
  EXPECT_THAT(outcomes, ElementsAre("-", "a"));
}

TEST(Ledger, CallUnderWayAtTheCut_MayHaveHappenedOrNot) {
  Object object{.name = "v"};
  object.events.push_back({{.begun = 10, .acked = 20}, Facts{.size_bytes = 1}});
  object.events.push_back({{.begun = 30, .acked = 40}, std::nullopt});
  EXPECT_TRUE(StatesAt(object, 10).absent && StatesAt(object, 10).present.empty());
  EXPECT_TRUE(StatesAt(object, 11).absent && StatesAt(object, 11).present.size() == 1);
  EXPECT_TRUE(!StatesAt(object, 20).absent && StatesAt(object, 20).present.size() == 1);
  EXPECT_TRUE(StatesAt(object, 31).absent && StatesAt(object, 31).present.size() == 1);
  EXPECT_TRUE(StatesAt(object, 40).absent && StatesAt(object, 40).present.empty());
}

TEST(Ledger, CellSeenDuringASpan_IsTheLastAcknowledgedVersionOrALaterOne) {
  CellHistory history;
  history.events.push_back({{.begun = 10, .acked = 20}, 1});
  history.events.push_back({{.begun = 30, .acked = 40}, 2});
  history.events.push_back({{.begun = 50, .acked = 60}, 3});
  EXPECT_THAT(VersionsIn(history, {.begun = 5, .acked = 5}).versions, ElementsAre(0));
  EXPECT_THAT(VersionsIn(history, {.begun = 15, .acked = 15}).versions, ElementsAre(0, 1));
  EXPECT_THAT(VersionsIn(history, {.begun = 20, .acked = 20}).versions, ElementsAre(1));
  EXPECT_THAT(VersionsIn(history, {.begun = 25, .acked = 55}).versions, ElementsAre(1, 2, 3));
  EXPECT_FALSE(VersionsIn(history, {.begun = 60, .acked = 60}).changing);
}

class LoggedDiskUnderALoop : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* temporary = std::getenv("TEST_TMPDIR");
    std::string path = std::string(temporary != nullptr ? temporary : "/var/tmp") + "/disk-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    folder_ = path;
    pool_ = std::make_unique<PoolDisk>(disk_, folder_);
    ASSERT_TRUE(pool_->status().ok()) << pool_->status();
    device_ = UniqueFd(open(pool_->loop().c_str(), O_RDWR | O_DIRECT | O_CLOEXEC));
    ASSERT_TRUE(device_.valid());
    disk_.Record();
  }
  void TearDown() override {
    device_ = UniqueFd();
    pool_.reset();
    std::filesystem::remove_all(folder_);
  }

  // With RWF_DSYNC a block device is written with FUA.
  void WriteDirect(char byte, int flags) {
    alignas(kPage) char data[kPage];
    std::memset(data, byte, sizeof(data));
    const iovec part = {data, sizeof(data)};
    ASSERT_EQ(pwritev2(device_.get(), &part, 1, 0, flags), static_cast<ssize_t>(kPage));
  }

  LoggedDisk disk_{64 << 20};
  std::string folder_;
  std::unique_ptr<PoolDisk> pool_;
  UniqueFd device_;
};

TEST_F(LoggedDiskUnderALoop, FsyncOfTheDevice_IsAFlushAfterTheWrite) {
  WriteDirect('a', 0);
  EXPECT_EQ(disk_.Position(), 1u);
  EXPECT_EQ(disk_.FlushesBefore(1), 0u);
  ASSERT_EQ(fsync(device_.get()), 0);
  EXPECT_EQ(disk_.Position(), 2u);
  EXPECT_EQ(disk_.FlushesBefore(2), 1u);
}

TEST_F(LoggedDiskUnderALoop, WriteThatMustLast_IsAWriteAndThenAFlush) {
  WriteDirect('b', RWF_DSYNC);
  ASSERT_GE(disk_.Position(), 2u);  // one flush for FUA, one more for the file's own sync
  EXPECT_EQ(disk_.FlushesBefore(1), 0u);
  EXPECT_EQ(disk_.FlushesBefore(2), 1u);
}

TEST_F(LoggedDiskUnderALoop, WhatIsWritten_IsReadBack) {
  WriteDirect('c', 0);
  alignas(kPage) char data[kPage];
  ASSERT_EQ(pread(device_.get(), data, sizeof(data), 0), static_cast<ssize_t>(kPage));
  EXPECT_EQ(data[0], 'c');
  EXPECT_EQ(data[kPage - 1], 'c');
}

// When this program crashes its mounts go, and sysfs tells no more of the file than its last name:
// what tools/test goes by when it looks for what this suite left.
TEST_F(LoggedDiskUnderALoop, LastNameOfTheDisksFile_HasItsFolder) {
  std::ifstream file("/sys/block/" + pool_->loop().substr(5) + "/loop/backing_file");
  std::string backing;
  ASSERT_TRUE(std::getline(file, backing));
  EXPECT_THAT(std::string(std::filesystem::path(backing).filename()),
              HasSubstr(std::filesystem::path(folder_).filename().string()));
}

}  // namespace
}  // namespace holdfast::powercut
