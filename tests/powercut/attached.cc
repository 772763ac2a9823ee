#include "tests/powercut/attached.h"

#include <sys/mount.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/integration/child.h"

namespace holdfast::powercut {
namespace {

std::vector<Attached> LoopsBelow(const std::string& folder) {
  std::vector<Attached> loops;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/block")) {
    const std::string name = entry.path().filename();
    if (!name.starts_with("loop")) continue;
    std::ifstream file(entry.path() / "loop/backing_file");
    std::string backing;
    std::getline(file, backing);
    if (backing.starts_with(folder + "/")) loops.push_back({"/dev/" + name, backing});
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

std::vector<Attached> SettledLoopsBelow(const std::string& folder, size_t expected) {
  std::vector<Attached> loops = LoopsBelow(folder);
  for (int i = 0; i < 200 && loops.size() > expected; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    loops = LoopsBelow(folder);
  }
  return loops;
}

void ReleaseBelow(const std::string& folder, const std::set<std::string>& kept_mounts,
                  const std::string& kept_loop) {
  std::vector<std::string> mounts = MountsBelow(folder);
  std::reverse(mounts.begin(), mounts.end());
  for (const std::string& mount : mounts) {
    if (!kept_mounts.contains(mount)) umount2(mount.c_str(), MNT_DETACH);
  }
  for (const Attached& loop : SettledLoopsBelow(folder, 1)) {
    if (loop.device != kept_loop) Execute({"losetup", "--detach", loop.device});
  }
}

}  // namespace holdfast::powercut
