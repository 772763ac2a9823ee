// The fixture's begin and end: what a test must not leave behind.
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <thread>

#include "catalog/catalog.h"
#include "gmock/gmock.h"
#include "os/unique_fd.h"
#include "tests/integration/integration_test.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// Before gRPC starts a thread: mounts of ours are nobody else's.
class PrivateMounts final : public ::testing::Environment {
 public:
  void SetUp() override {
    // An idle client sees only so often that its server is ending, which waits for it.
    setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "20", 1);
    if (geteuid() != 0) return;
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  }
};
[[maybe_unused]] const auto* const kPrivateMounts =
    ::testing::AddGlobalTestEnvironment(new PrivateMounts);

std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> FilesBelow(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_symlink() || !entry.is_directory()) files.push_back(entry.path());
  }
  return files;
}

template <typename Rows>
std::vector<std::string> ImageNames(const Rows& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows) names.push_back(row.incarnation + ".img");
  std::sort(names.begin(), names.end());
  return names;
}

void Thaw(const std::string& mount) {
  const UniqueFd root(open(mount.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (root.valid()) ioctl(root.get(), FITHAW, 0);
}

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The kernel lets go of a loop device a moment after its last user.
std::vector<std::string> SettledLoopsBelow(const std::string& folder, size_t expected) {
  std::vector<std::string> loops = LoopsBelow(folder);
  for (int i = 0; i < 200 && loops.size() > expected; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    loops = LoopsBelow(folder);
  }
  return loops;
}

}  // namespace

std::vector<std::string> MountsBelow(const std::string& folder) {
  std::vector<std::string> mounts;
  std::ifstream table("/proc/self/mountinfo");
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string field;
    for (int i = 0; i < 5; ++i) fields >> field;
    if (field.starts_with(folder + "/")) mounts.push_back(field);
  }
  return mounts;
}

std::vector<std::string> LoopsBelow(const std::string& folder) {
  std::vector<std::string> loops;
  for (const auto& entry : fs::directory_iterator("/sys/block")) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("loop")) continue;
    const std::string backing = FirstLine(entry.path() / "loop/backing_file");
    if (backing.starts_with(folder + "/")) loops.push_back("/dev/" + name + " " + backing);
  }
  return loops;
}

void IntegrationTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  std::string path = fs::temp_directory_path() / "holdfast-integration-XXXXXX";
  ASSERT_NE(mkdtemp(path.data()), nullptr);
  folder_ = path;
  disk_ = std::make_unique<ScratchDisk>(folder_, "pool", pool_bytes_, MkfsOf(kind_));
  ASSERT_FALSE(HasFailure());
  MustRun({ProgramPath("holdfastctl"), "pool", "init", pool(), "--name", "main"});
  ASSERT_FALSE(HasFailure());
  driver_ = MakeDriver(folder_, {pool()});
  ASSERT_TRUE(driver_->Start()) << driver_->Log();
  Connect();
}

void IntegrationTest::Connect() {
  csi_ = std::make_unique<CsiClient>(driver_->socket());
  ASSERT_OK(csi_->Call(csi::v1::ListVolumesRequest()));
  open_files_ = driver_->OpenFiles();
}

void IntegrationTest::Restart() {
  EXPECT_EQ(driver_->Stop(), 0);
  ASSERT_TRUE(driver_->Start()) << driver_->Log();
  Connect();
}

void IntegrationTest::KillAndRestart() {
  driver_->Kill();
  ASSERT_TRUE(driver_->Start()) << driver_->Log();
  Connect();
}

void IntegrationTest::TearDown() {
  if (folder_.empty()) return;
  if (!HasFailure()) TakeDown();
  if (!HasFailure()) ExpectNothingLeft();
  if (HasFailure() && driver_ != nullptr) {
    const std::string log = driver_->Log();
    std::cerr << log.substr(log.size() - std::min<size_t>(log.size(), 4000));
  }
  if (driver_ != nullptr) {
    EXPECT_EQ(driver_->Stop(), 0);
  }
  CleanAfterFailure();
  more_disks_.clear();
  disk_.reset();
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void IntegrationTest::TakeDown() {
  if (driver_ == nullptr || !driver_->running()) return;
  while (!published_.empty()) {
    const auto [id, pod] = *published_.begin();
    ASSERT_OK(Unpublish(Claim{.id = id}, pod));
  }
  while (!staged_.empty()) ASSERT_OK(Unstage(Claim(staged_.begin()->second)));
  while (!snapshots_.empty()) ASSERT_OK(DeleteSnapshot(std::string(*snapshots_.begin())));
  while (!claims_.empty()) ASSERT_OK(Delete(Claim(claims_.begin()->second)));
}

void IntegrationTest::ExpectNothingHalfDone() const {
  const std::string pool_path = pool();
  EXPECT_EQ(NamesIn(pool_path + "/work"), std::vector<std::string>());
  const auto catalog = OpenCatalog(pool_path + "/catalog.db", Catalog::Access::kReadOnly);
  ASSERT_TRUE(catalog.ok()) << catalog.status();
  const auto volumes = (*catalog)->AllVolumes();
  const auto snapshots = (*catalog)->AllSnapshots();
  const auto trash = (*catalog)->ListTrash();
  ASSERT_TRUE(volumes.ok() && snapshots.ok() && trash.ok());
  EXPECT_EQ(NamesIn(pool_path + "/volumes"), ImageNames(*volumes));
  EXPECT_EQ(NamesIn(pool_path + "/snapshots"), ImageNames(*snapshots));
  EXPECT_EQ(NamesIn(pool_path + "/trash"), ImageNames(*trash));
  for (const auto& row : *volumes) EXPECT_EQ(row.state, ObjectState::kReady) << row.id;
  for (const auto& row : *snapshots) EXPECT_EQ(row.state, ObjectState::kReady) << row.id;
}

// A filesystem that was left frozen holds its loop device, and its record stands in the run folder.
void IntegrationTest::ExpectNothingLeft() {
  std::vector<std::string> mounts = {pool()}, loops = {disk_->loop() + " " + pool() + ".disk"};
  for (const auto& disk : more_disks_) {
    mounts.push_back(disk->path());
    loops.push_back(disk->loop() + " " + disk->path() + ".disk");
  }
  EXPECT_THAT(MountsBelow(folder_), ::testing::UnorderedElementsAreArray(mounts));
  EXPECT_THAT(SettledLoopsBelow(folder_, loops.size()),
              ::testing::UnorderedElementsAreArray(loops));
  EXPECT_EQ(FilesBelow(driver_->run_folder()), std::vector<std::string>());
  EXPECT_EQ(NamesIn(driver_->temporary()), std::vector<std::string>());
  ExpectNothingHalfDone();
  if (!driver_->running()) return;
  // The time zone is read for a line of the log, other devices for a look: what stays open counts.
  std::vector<std::string> open = driver_->OpenFiles();
  for (int i = 0; i < 100 && open != open_files_; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    open = driver_->OpenFiles();
  }
  EXPECT_EQ(open, open_files_);
}

void IntegrationTest::CleanAfterFailure() {
  std::set<std::string> ours;
  if (disk_ != nullptr) ours = {disk_->path(), disk_->loop()};
  for (const auto& disk : more_disks_) ours.insert({disk->path(), disk->loop()});
  std::vector<std::string> mounts = MountsBelow(folder_);
  std::reverse(mounts.begin(), mounts.end());
  for (const std::string& mount : mounts) {
    if (ours.contains(mount)) continue;
    Thaw(mount);  // a frozen filesystem would hold its loop device, and us, for ever
    umount2(mount.c_str(), MNT_DETACH);
  }
  for (const std::string& loop : SettledLoopsBelow(folder_, ours.size() / 2)) {
    const std::string device = loop.substr(0, loop.find(' '));
    if (!ours.contains(device)) Execute({"losetup", "--detach", device});
  }
}

ScratchDisk& IntegrationTest::AddDisk(const std::string& name, uint64_t bytes,
                                      const std::vector<std::string>& mkfs) {
  more_disks_.push_back(std::make_unique<ScratchDisk>(folder_, name, bytes, mkfs));
  return *more_disks_.back();
}

}  // namespace holdfast
