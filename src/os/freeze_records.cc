// Which filesystems may be frozen: one empty file each in the run folder, whose name is the device.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/linux_host.h"

namespace holdfast {
namespace {

std::string Folder(const std::string& run_folder) { return run_folder + "/freezes"; }

std::string RecordPath(const std::string& run_folder, uint64_t device) {
  return fmt::format("{}/{}:{}", Folder(run_folder), major(device), minor(device));
}

absl::Status EnsureFolders(const std::string& run_folder) {
  for (const std::string& path : {run_folder, Folder(run_folder)}) {
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus(errno, "mkdir", path);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status LinuxHost::RecordFreeze(uint64_t device) {
  RETURN_IF_ERROR(EnsureFolders(run_folder_));
  const std::string path = RecordPath(run_folder_, device);
  // Not flushed: it need not outlive the kernel, which forgets the freeze with it.
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return ErrnoStatus(errno, "open", path);
  return absl::OkStatus();
}

absl::Status LinuxHost::ForgetFreeze(uint64_t device) {
  const std::string path = RecordPath(run_folder_, device);
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, "unlink", path);
}

absl::StatusOr<std::vector<uint64_t>> LinuxHost::RecordedFreezes() {
  const std::string folder = Folder(run_folder_);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(folder.c_str()), closedir);
  std::vector<uint64_t> devices;
  if (stream == nullptr) {
    if (errno == ENOENT) return devices;
    return ErrnoStatus(errno, "open", folder);
  }
  while (const dirent* entry = readdir(stream.get())) {
    unsigned int major_number = 0, minor_number = 0;
    if (sscanf(entry->d_name, "%u:%u", &major_number, &minor_number) == 2) {
      devices.push_back(makedev(major_number, minor_number));
    }
  }
  return devices;
}

}  // namespace holdfast
