// Which devices have a mounted filesystem: sysfs lists them whatever mount namespace shows them.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/linux_host.h"
#include "os/loop_device.h"
#include "os/superblock.h"

namespace holdfast {
namespace {

// Empty when there is no such folder: a filesystem whose module was never needed.
absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(path.c_str()), closedir);
  std::vector<std::string> names;
  if (stream == nullptr) {
    if (errno == ENOENT) return names;
    return ErrnoStatus(errno, "open", path);
  }
  while (const dirent* entry = readdir(stream.get())) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  return names;
}

// Names of devices, and of what else the kernel keeps beside them ("features", "stats").
absl::StatusOr<std::vector<std::string>> NamesOfMounted(Content content) {
  const std::string folder = fmt::format("/sys/fs/{}", ContentName(content));
  ASSIGN_OR_RETURN(std::vector<std::string> names, NamesIn(folder));
  if (content != Content::kBtrfs) return names;
  std::vector<std::string> devices;
  for (const std::string& filesystem : names) {
    ASSIGN_OR_RETURN(const auto of_filesystem,
                     NamesIn(fmt::format("{}/{}/devices", folder, filesystem)));
    devices.insert(devices.end(), of_filesystem.begin(), of_filesystem.end());
  }
  return devices;
}

// The device when its superblock has that UUID. One that cannot be read shows nobody the same
// bytes twice, and another disk's fault must not keep this volume from being used.
std::optional<MountedDevice> DeviceWithUuid(std::string name, Content content,
                                            const std::string& uuid) {
  std::replace(name.begin(), name.end(), '!', '/');  // as sysfs writes the slash of "cciss/c0d0"
  MountedDevice found{.path = "/dev/" + name, .loop = std::nullopt};
  const UniqueFd device(open(found.path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat facts;
  if (!device.valid() || fstat(device.get(), &facts) != 0 || !S_ISBLK(facts.st_mode)) {
    return std::nullopt;
  }
  char bytes[16];
  const auto offset = static_cast<off_t>(UuidOffset(content));
  if (pread(device.get(), bytes, sizeof(bytes), offset) != sizeof(bytes) ||
      UuidText({bytes, sizeof(bytes)}) != uuid) {
    return std::nullopt;
  }
  int number = 0;
  if (sscanf(name.c_str(), "loop%d", &number) == 1 && found.path == LoopPath(number)) {
    found.loop = ReadLoop(device, number).value_or(std::nullopt);
  }
  return found;
}

}  // namespace

absl::StatusOr<std::vector<MountedDevice>> LinuxHost::MountedWithUuid(Content content,
                                                                      const std::string& uuid) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesOfMounted(content));
  std::vector<MountedDevice> found;
  for (const std::string& name : names) {
    if (auto device = DeviceWithUuid(name, content, uuid)) found.push_back(*std::move(device));
  }
  return found;
}

}  // namespace holdfast
