#include "tests/contract/mounted_disk.h"

#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

extern char** environ;

namespace holdfast {
namespace {

void MustRun(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  int status = -1;
  if (posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0 ||
      waitpid(child, &status, 0) != child || status != 0) {
    std::fprintf(stderr, "%s failed (%d)\n", arguments[0], status);
    std::abort();
  }
}

}  // namespace

MountedDisk::MountedDisk(const std::string& folder, const std::string& type, uint64_t size_bytes)
    : file_(folder + "/disk.img"), path_(folder + "/disk") {
  std::filesystem::create_directories(path_);
  MustRun({"truncate", "--size", std::to_string(size_bytes), file_});
  if (type == "xfs") {
    MustRun({"mkfs.xfs", "-q", "-m", "reflink=1", file_});
  } else {
    MustRun({"mkfs.btrfs", "-q", file_});
  }
  // The loop device goes away with the mount.
  MustRun({"mount", "-o", "loop", file_, path_});
}

MountedDisk::~MountedDisk() {
  EXPECT_EQ(umount2(path_.c_str(), 0), 0) << path_ << " is still used";
  std::filesystem::remove(path_);
  std::filesystem::remove(file_);
}

std::string WhyNoRealMachine() {
  if (geteuid() != 0) return "needs root";
  // Whoever started us: what is mounted here is nobody else's business.
  static const bool is_private =
      unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  if (!is_private) return "needs a mount namespace of its own (CAP_SYS_ADMIN)";
  if (access("/dev/loop-control", R_OK | W_OK) != 0) return "needs loop devices";
  return "";
}

}  // namespace holdfast
