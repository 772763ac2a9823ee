#include "tests/powercut/pool_disk.h"

#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "tests/integration/child.h"

namespace holdfast::powercut {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

absl::Status RunProgram(const std::vector<std::string>& argv) {
  const Ended ended = Execute(argv);
  if (ended.exit_code == 0) return absl::OkStatus();
  return absl::InternalError(
      fmt::format("{}: exit {}: {}", argv[0], ended.exit_code, ended.output));
}

PoolDisk::PoolDisk(LoggedDisk& disk, std::string folder) : folder_(std::move(folder)) {
  std::filesystem::create_directories(folder_ + "/fuse");
  std::filesystem::create_directories(path());
  file_ = std::make_unique<DiskFile>(disk, folder_ + "/fuse");
  status_ = file_->ok() ? Attach() : absl::InternalError("the FUSE filesystem cannot be mounted");
}

absl::Status PoolDisk::Attach() {
  const Ended attached = Execute(
      {"losetup", "--find", "--show", "--direct-io=on", "--sector-size=4096", file_->path()});
  if (attached.exit_code != 0) return absl::InternalError("losetup: " + attached.output);
  loop_ = attached.output.substr(0, attached.output.find('\n'));
  // Buffered I/O would keep writes and their order from the log.
  const std::string direct = FirstLine("/sys/block/" + loop_.substr(5) + "/loop/dio");
  if (direct == "1") return absl::OkStatus();
  return absl::InternalError(fmt::format("{}: expected direct I/O, found '{}'", loop_, direct));
}

absl::Status PoolDisk::Format(PoolKind kind) {
  std::vector<std::string> make = MkfsOf(kind);
  make.push_back(loop_);
  return RunProgram(make);
}

absl::Status PoolDisk::Mount(PoolKind kind) {
  if (mount(loop_.c_str(), path().c_str(), PoolKindName(kind), 0, nullptr) != 0) {
    return absl::DataLossError(fmt::format("mount of the pool: {}", strerror(errno)));
  }
  mounted_ = true;
  return absl::OkStatus();
}

absl::Status PoolDisk::Unmount() {
  // A loop device on an image lets go of it a moment after its last user.
  for (int i = 0; i < 300; ++i) {
    if (umount2(path().c_str(), 0) == 0) {
      mounted_ = false;
      return absl::OkStatus();
    }
    if (errno != EBUSY) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return absl::InternalError(fmt::format("umount of the pool: {}", strerror(errno)));
}

PoolDisk::~PoolDisk() {
  if (mounted_ && !Unmount().ok()) umount2(path().c_str(), MNT_DETACH);
  if (!loop_.empty()) Execute({"losetup", "--detach", loop_});
}

}  // namespace holdfast::powercut
