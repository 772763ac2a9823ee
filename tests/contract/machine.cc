#include "tests/contract/machine.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include <fmt/format.h>

#include "base/sizes.h"
#include "os/linux_host.h"
#include "os/loop_device.h"
#include "tests/contract/mounted_disk.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class FakeMachine final : public Machine {
 public:
  FakeMachine(const std::string& filesystem, uint64_t pool_bytes) {
    host_.MakePool(pool_, {.type = filesystem, .size_bytes = pool_bytes});
    host_.MakeFolders(targets_);
  }

  Host& host() override { return host_; }
  const std::string& pool() const override { return pool_; }
  const std::string& targets() const override { return targets_; }
  void MakeFolder(const std::string& path) override { host_.MakeFolders(path); }
  void MakeFile(const std::string& path) override { host_.MakeFile(path); }
  void MakeSymlink(const std::string& path, const std::string& to) override {
    host_.MakeSymlink(path, to);
  }
  void RemovePath(const std::string& path) override { host_.RemovePath(path); }
  bool SetResourceCapability(bool has) override {
    host_.SetCanGrowExt4Mounted(has);
    return true;
  }
  bool DiscardsForOthers(int loop_number) override {
    const std::vector<int> spoilt = host_.SpoiltLoops();
    return std::find(spoilt.begin(), spoilt.end(), loop_number) == spoilt.end();
  }
  std::vector<std::string> Leftovers() override {
    std::vector<std::string> found;
    for (const Loop& loop : host_.OpenLoops()) found.push_back(loop.path);
    if (host_.MountCount() > 0) found.push_back(fmt::format("{} mounts", host_.MountCount()));
    if (host_.FrozenCount() > 0) found.push_back("a frozen filesystem");
    return found;
  }

 private:
  FakeHost host_;
  const std::string pool_ = "/srv/pool";
  const std::string targets_ = "/var/lib/kubelet/pods";
};

class LinuxMachine final : public Machine {
 public:
  LinuxMachine(const std::string& filesystem, uint64_t pool_bytes)
      : folder_(MakeTemporaryFolder()),
        disk_(std::make_unique<MountedDisk>(folder_, filesystem, pool_bytes)),
        pool_(disk_->path()),
        targets_(folder_ + "/kubelet/pods") {
    fs::create_directories(targets_);
    auto host =
        LinuxHost::Create({.target_roots = {folder_ + "/kubelet"}, .run_folder = folder_ + "/run"});
    if (!host.ok()) {
      std::cerr << host.status() << "\n";
      std::abort();
    }
    host_ = *std::move(host);
  }
  ~LinuxMachine() override {
    disk_.reset();
    fs::remove_all(folder_);
  }

  Host& host() override { return *host_; }
  const std::string& pool() const override { return pool_; }
  const std::string& targets() const override { return targets_; }
  void MakeFolder(const std::string& path) override { fs::create_directories(path); }
  void MakeFile(const std::string& path) override { std::ofstream file(path); }
  void MakeSymlink(const std::string& path, const std::string& to) override {
    fs::create_symlink(to, path);
  }
  void RemovePath(const std::string& path) override { fs::remove_all(path); }
  bool SetResourceCapability(bool has) override {
    __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
    if (syscall(SYS_capget, &header, data) != 0) return false;
    __user_cap_data_struct& word = data[CAP_TO_INDEX(CAP_SYS_RESOURCE)];
    constexpr uint32_t kBit = CAP_TO_MASK(CAP_SYS_RESOURCE);
    word.effective = has ? word.effective | kBit : word.effective & ~kBit;
    return syscall(SYS_capset, &header, data) == 0;  // EPERM: it is not permitted to have it
  }
  bool DiscardsForOthers(int loop_number) override {
    const std::string path = folder_ + "/others.img";
    const UniqueFd image(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    bool discards = false;
    const bool attached = ftruncate(image.get(), kMiB) == 0 && Eventually([&] {
                            return AttachAndDiscard(image, loop_number, discards);
                          });
    unlink(path.c_str());
    return attached && discards;
  }
  std::vector<std::string> Leftovers() override {
    std::vector<std::string> found;
    Eventually([&] {
      found = LoopsOnPool();
      for (std::string& mount : MountsBeneath(targets_)) found.push_back(std::move(mount));
      return found.empty();
    });
    return found;
  }

 private:
  // As losetup does it. False: somebody else has the number just now.
  static bool AttachAndDiscard(const UniqueFd& image, int number, bool& discards) {
    const UniqueFd control(open("/dev/loop-control", O_RDWR | O_CLOEXEC));
    (void)ioctl(control.get(), LOOP_CTL_ADD, number);  // EEXIST: it was never removed
    const UniqueFd device(open(LoopPath(number).c_str(), O_RDWR | O_CLOEXEC));
    loop_config config = {};
    config.fd = static_cast<uint32_t>(image.get());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (ioctl(device.get(), LOOP_CONFIGURE, &config) != 0) return false;
    const uint64_t all[] = {0, kMiB};
    discards = ioctl(device.get(), BLKDISCARD, all) == 0;
    return true;
  }

  static std::string MakeTemporaryFolder() {
    std::string name = fs::temp_directory_path() / "holdfast-contract-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    return name;
  }

  std::vector<std::string> LoopsOnPool() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator("/sys/block")) {
      std::ifstream file(entry.path() / "loop/backing_file");
      std::string backing;
      if (std::getline(file, backing) && backing.rfind(pool_ + "/", 0) == 0) {
        found.push_back(entry.path().filename().string() + " on " + backing);
      }
    }
    return found;
  }

  static std::vector<std::string> MountsBeneath(const std::string& folder) {
    std::vector<std::string> found;
    std::ifstream table("/proc/self/mountinfo");
    for (std::string line; std::getline(table, line);) {
      if (line.find(folder + "/") != std::string::npos) found.push_back(line);
    }
    return found;
  }

  const std::string folder_;
  std::unique_ptr<MountedDisk> disk_;
  const std::string pool_, targets_;
  std::unique_ptr<LinuxHost> host_;
};

}  // namespace

std::string MachineKind::WhyNot() const { return real ? WhyNoRealMachine() : ""; }

std::unique_ptr<Machine> MachineKind::Make(uint64_t pool_bytes) const {
  if (real) return std::make_unique<LinuxMachine>(pool_filesystem, pool_bytes);
  return std::make_unique<FakeMachine>(pool_filesystem, pool_bytes);
}

std::vector<MachineKind> MachineKinds() {
  return {{"Fake_xfs", "xfs", false},
          {"Fake_btrfs", "btrfs", false},
          {"Linux_xfs", "xfs", true},
          {"Linux_btrfs", "btrfs", true}};
}

std::vector<MachineKind> RealMachineKinds() {
  std::vector<MachineKind> kinds = MachineKinds();
  std::erase_if(kinds, [](const MachineKind& kind) { return !kind.real; });
  return kinds;
}

size_t OpenDescriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace holdfast
