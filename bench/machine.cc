#include "bench/machine.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "os/command.h"
#include "os/freed_space.h"
#include "os/unique_fd.h"

namespace holdfast::bench {
namespace {

absl::Status Failed(const std::string& call, const std::string& path) {
  return absl::InternalError(fmt::format("{} {}: {}", call, path, std::strerror(errno)));
}

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  for (const char* folder : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    if (access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return absl::NotFoundError(fmt::format(
      "program {}: expected it to be installed, found it nowhere; install it with apt", name));
}

}  // namespace

absl::StatusOr<std::string> RunProgram(const std::string& name,
                                       const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(const std::string program, FindProgram(name));
  ASSIGN_OR_RETURN(CommandResult result, Run({.program = program,
                                              .arguments = arguments,
                                              .environment = {},
                                              .inherited = {},
                                              .deadline = std::chrono::minutes(10)}));
  if (result.signal != 0 || result.exit_code != 0) {
    return absl::InternalError(
        fmt::format("{} ended with {}: {}", name, result.exit_code, result.output));
  }
  while (result.output.ends_with('\n')) result.output.pop_back();
  return std::move(result.output);
}

absl::Status MakeFile(const std::string& path, uint64_t bytes, bool preallocate) {
  const UniqueFd file(open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.valid()) return Failed("create", path);
  if (ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) return Failed("ftruncate", path);
  if (preallocate && fallocate(file.get(), 0, 0, static_cast<off_t>(bytes)) != 0) {
    return Failed("fallocate", path);
  }
  return absl::OkStatus();
}

absl::Status FillFile(const std::string& path, uint64_t bytes) {
  return RunProgram("dd", {"if=/dev/zero", "of=" + path, "bs=1M", "oflag=direct", "conv=notrunc",
                           "status=none", fmt::format("count={}", bytes >> 20)})
      .status();
}

uint64_t AllocatedBytes(const std::string& path) {
  struct stat facts = {};
  return stat(path.c_str(), &facts) == 0 ? static_cast<uint64_t>(facts.st_blocks) * 512 : 0;
}

uint64_t ExtentCount(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  fiemap request = {};
  request.fm_length = FIEMAP_MAX_OFFSET;
  request.fm_flags = FIEMAP_FLAG_SYNC;
  if (ioctl(file.get(), FS_IOC_FIEMAP, &request) != 0) return 0;
  return request.fm_mapped_extents;
}

uint64_t FreeBytes(const std::string& path) {
  const UniqueFd folder(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  syncfs(folder.get());
  struct statvfs facts = {};
  fstatvfs(folder.get(), &facts);
  return facts.f_bfree * facts.f_frsize;
}

absl::StatusOr<double> TimeReflink(const std::string& from, const std::string& to) {
  const UniqueFd source(open(from.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd copy(open(to.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!copy.valid()) return Failed("create", to);
  // btrfs wants both files to agree on NOCOW.
  int flags = 0;
  if (ioctl(source.get(), FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_NOCOW_FL) != 0) {
    ioctl(copy.get(), FS_IOC_SETFLAGS, &flags);
  }
  const Stopwatch watch;
  if (ioctl(copy.get(), FICLONE, source.get()) != 0) return Failed("FICLONE", to);
  const double milliseconds = watch.Milliseconds();
  unlink(to.c_str());
  return milliseconds;
}

absl::StatusOr<std::string> ImageBehind(const std::string& target, bool block) {
  struct stat facts = {};
  if (stat(target.c_str(), &facts) != 0) return Failed("stat", target);
  const dev_t device = block ? facts.st_rdev : facts.st_dev;
  const std::string sysfs =
      fmt::format("/sys/dev/block/{}:{}/loop/backing_file", major(device), minor(device));
  std::string path;
  std::ifstream file(sysfs);
  if (!std::getline(file, path)) return Failed("read", sysfs);
  return path;
}

void Settle(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const absl::Status settled = SyncFreedSpace(file);
  if (!settled.ok()) fmt::print(stderr, "settle: {}\n", std::string(settled.message()));
}

absl::StatusOr<std::string> AttachByHand(const std::string& image) {
  return RunProgram("losetup", {"-f", "--show", "--direct-io=on", "-b", "4096", image});
}

absl::StatusOr<HandMount> HandMount::Make(const std::string& image, const std::string& target,
                                          const std::vector<std::string>& mkfs) {
  ASSIGN_OR_RETURN(const std::string device, AttachByHand(image));
  const auto mount = [&]() -> absl::Status {
    if (!mkfs.empty()) {
      std::vector<std::string> arguments(mkfs.begin() + 1, mkfs.end());
      arguments.push_back(device);
      RETURN_IF_ERROR(RunProgram(mkfs.front(), arguments).status());
    }
    std::filesystem::create_directories(target);
    return RunProgram("mount", {device, target}).status();
  };
  const absl::Status mounted = mount();
  // With the mount as its last user the kernel detaches the device when that is gone, whoever ends
  // it: a killed benchmark leaves no loop device behind.
  RETURN_IF_ERROR(RunProgram("losetup", {"-d", device}).status());
  RETURN_IF_ERROR(mounted);
  return HandMount(target);
}

HandMount::HandMount(HandMount&& other) noexcept : target_(std::exchange(other.target_, "")) {}

HandMount::~HandMount() {
  if (target_.empty()) return;
  const auto unmounted = RunProgram("umount", {target_});
  if (!unmounted.ok()) fmt::print(stderr, "leaked {}\n", target_);
}

}  // namespace holdfast::bench
