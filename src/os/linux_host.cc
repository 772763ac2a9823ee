#include "os/linux_host.h"

#include <blkid/blkid.h>
#include <fmt/format.h>
#include <libmount/libmount.h>
#include <unistd.h>

#include <cerrno>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/kernel_calls.h"
#include "os/small_file.h"
#include "os/target_path.h"

namespace holdfast {
namespace {

constexpr const char* kProgramFolders[] = {"/usr/sbin", "/usr/bin", "/sbin", "/bin"};

std::string FindProgram(const std::string& name) {
  for (const char* folder : kProgramFolders) {
    std::string path = fmt::format("{}/{}", folder, name);
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

absl::StatusOr<HostPrograms> FindPrograms() {
  HostPrograms found;
  const std::pair<const char*, std::string*> wanted[] = {
      {"mke2fs", &found.mke2fs},       {"e2fsck", &found.e2fsck},
      {"resize2fs", &found.resize2fs}, {"tune2fs", &found.tune2fs},
      {"mkfs.xfs", &found.mkfs_xfs},   {"xfs_repair", &found.xfs_repair},
      {"xfs_db", &found.xfs_db},       {"mkfs.btrfs", &found.mkfs_btrfs},
      {"btrfs", &found.btrfs},         {"btrfstune", &found.btrfstune},
  };
  std::string missing;
  for (const auto& [name, path] : wanted) {
    *path = FindProgram(name);
    if (path->empty()) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", name);
  }
  if (!missing.empty()) {
    return absl::FailedPreconditionError(
        fmt::format("programs: expected in /usr/sbin, /usr/bin, /sbin or /bin, missing are {}; "
                    "install e2fsprogs, xfsprogs and btrfs-progs",
                    missing));
  }
  return found;
}

bool ProbeExclusiveCreation() {
  const UniqueFd context(fsopen("tmpfs", FSOPEN_CLOEXEC));
  // Without the right to mount nothing else works either, and that will say so itself.
  return context.valid() &&
         fsconfig(context.get(), kFsconfigCreateExclusive, nullptr, nullptr, 0) == 0;
}

// Where nobody else sees it; not valid where the kernel has none.
UniqueFd MountDebugfs() {
  const UniqueFd context(fsopen("debugfs", FSOPEN_CLOEXEC));
  if (!context.valid() || fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return UniqueFd();
  }
  return UniqueFd(fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY));
}

}  // namespace

absl::StatusOr<std::unique_ptr<LinuxHost>> LinuxHost::Create(LinuxHostOptions options) {
  // Both libraries read their debug masks at first use, which is no thread-safe thing.
  blkid_init_debug(0);
  mnt_init_debug(0);

  auto host = std::unique_ptr<LinuxHost>(new LinuxHost());
  ASSIGN_OR_RETURN(host->programs_, FindPrograms());
  for (const std::string& root : options.target_roots) {
    ASSIGN_OR_RETURN(TargetRoot resolved, ResolveTargetRoot(root));
    host->target_roots_.push_back(std::move(resolved));
  }
  host->run_folder_ = std::move(options.run_folder);
  host->has_exclusive_creation_ = ProbeExclusiveCreation();
  host->debugfs_ = MountDebugfs();
  return host;
}

absl::StatusOr<std::string> LinuxHost::BootId() {
  constexpr char kPath[] = "/proc/sys/kernel/random/boot_id";
  std::optional<std::string> text = ReadSmallFile(kPath);
  if (!text.has_value()) return ErrnoStatus(errno, "read", kPath);
  return *std::move(text);
}

}  // namespace holdfast
