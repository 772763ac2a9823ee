// Files and folders of a pool.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/fd_name.h"
#include "os/filesystem_types.h"
#include "os/freed_space.h"
#include "os/linux_host.h"

namespace holdfast {
namespace {

using absl::StatusCode;

// Names come from a catalog or a folder listing: anything that is a path is a bug or an attack.
absl::Status CheckName(const std::string& name) {
  if (name.empty() || name == "." || name == ".." ||
      name.find_first_of(std::string_view("/\0", 2)) != std::string::npos) {
    return absl::InvalidArgumentError(
        fmt::format("file name: expected one path component, found '{}'", name));
  }
  return absl::OkStatus();
}

absl::Status Flush(const UniqueFd& fd) {
  return fsync(fd.get()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "fsync", FdName(fd));
}

// A commit of the running transaction, without the dirty data of files that syncfs would write.
absl::Status CommitBtrfs(const UniqueFd& folder) {
  uint64_t transaction = 0;
  if (ioctl(folder.get(), BTRFS_IOC_START_SYNC, &transaction) != 0) {
    return ErrnoStatus(errno, "BTRFS_IOC_START_SYNC", FdName(folder));
  }
  if (ioctl(folder.get(), BTRFS_IOC_WAIT_SYNC, &transaction) != 0) {
    return ErrnoStatus(errno, "BTRFS_IOC_WAIT_SYNC", FdName(folder));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<UniqueFd> LinuxHost::OpenFolder(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.valid()) return fd;
  if (errno == ENOENT) return ErrnoStatusAs(StatusCode::kNotFound, errno, "open", path);
  if (errno == ENOTDIR) return ErrnoStatusAs(StatusCode::kFailedPrecondition, errno, "open", path);
  return ErrnoStatus(errno, "open", path);
}

absl::StatusOr<UniqueFd> LinuxHost::EnsureFolder(const UniqueFd& parent, const std::string& name) {
  RETURN_IF_ERROR(CheckName(name));
  if (mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, "mkdir", name);
  }
  UniqueFd fd(openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd.valid()) return fd;
  if (errno == ENOTDIR || errno == ELOOP) {
    return ErrnoStatusAs(StatusCode::kFailedPrecondition, errno, "open", name);
  }
  return ErrnoStatus(errno, "open", name);
}

absl::StatusOr<std::vector<std::string>> LinuxHost::ListFolder(const UniqueFd& folder) {
  // An open of its own: the position of a listing is the description's, not the thread's.
  UniqueFd own(openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own.valid()) return ErrnoStatus(errno, "open", FdName(folder));
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(fdopendir(own.get()), closedir);
  if (stream == nullptr) return ErrnoStatus(errno, "fdopendir", FdName(folder));
  own.Release();
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(stream.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return ErrnoStatus(errno, "readdir", FdName(folder));
  return names;
}

absl::Status LinuxHost::SyncFolder(const UniqueFd& folder) {
  struct statfs facts;
  if (fstatfs(folder.get(), &facts) != 0) return ErrnoStatus(errno, "fstatfs", FdName(folder));
  // What fsync logs of a btrfs folder now and then lacks a removal (docs/adr/0008).
  return facts.f_type == kBtrfsMagic ? CommitBtrfs(folder) : Flush(folder);
}

absl::Status LinuxHost::SyncFilesystem(const UniqueFd& folder) { return SyncFreedSpace(folder); }

absl::StatusOr<UniqueFd> LinuxHost::CreateFile(const UniqueFd& folder, const std::string& name) {
  RETURN_IF_ERROR(CheckName(name));
  UniqueFd fd(
      openat(folder.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (fd.valid()) return fd;
  if (errno == EEXIST) return ErrnoStatusAs(StatusCode::kAlreadyExists, errno, "create", name);
  return ErrnoStatus(errno, "create", name);
}

absl::StatusOr<std::optional<UniqueFd>> LinuxHost::OpenFile(const UniqueFd& folder,
                                                            const std::string& name,
                                                            Access access) {
  RETURN_IF_ERROR(CheckName(name));
  // O_PATH first: opening a device or a fifo in order to look at it would already be an act.
  const UniqueFd path(openat(folder.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!path.valid()) {
    if (errno == ENOENT) return std::optional<UniqueFd>();
    return ErrnoStatus(errno, "open", name);
  }
  struct stat facts;
  if (fstat(path.get(), &facts) != 0) return ErrnoStatus(errno, "stat", name);
  if (!S_ISREG(facts.st_mode)) {
    return absl::FailedPreconditionError(
        fmt::format("{}: expected a regular file, found mode {:o}", name, facts.st_mode));
  }
  UniqueFd fd(open(fmt::format("/proc/self/fd/{}", path.get()).c_str(),
                   (access == Access::kReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "open", name);
  return std::optional<UniqueFd>(std::move(fd));
}

absl::StatusOr<std::optional<uint64_t>> LinuxHost::FileSize(const UniqueFd& folder,
                                                            const std::string& name) {
  RETURN_IF_ERROR(CheckName(name));
  struct stat facts;
  if (fstatat(folder.get(), name.c_str(), &facts, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::optional<uint64_t>();
    return ErrnoStatus(errno, "stat", name);
  }
  if (!S_ISREG(facts.st_mode)) return std::optional<uint64_t>();
  return std::optional<uint64_t>(static_cast<uint64_t>(facts.st_size));
}

absl::Status LinuxHost::Rename(const UniqueFd& from_folder, const std::string& from,
                               const UniqueFd& to_folder, const std::string& to) {
  RETURN_IF_ERROR(CheckName(from));
  RETURN_IF_ERROR(CheckName(to));
  if (renameat2(from_folder.get(), from.c_str(), to_folder.get(), to.c_str(), RENAME_NOREPLACE) ==
      0) {
    return absl::OkStatus();
  }
  if (errno == ENOENT) return ErrnoStatusAs(StatusCode::kNotFound, errno, "rename", from);
  if (errno == EEXIST) return ErrnoStatusAs(StatusCode::kAlreadyExists, errno, "rename", to);
  return ErrnoStatus(errno, "rename", from);
}

absl::StatusOr<bool> LinuxHost::Remove(const UniqueFd& folder, const std::string& name) {
  RETURN_IF_ERROR(CheckName(name));
  if (unlinkat(folder.get(), name.c_str(), 0) == 0) return true;
  if (errno == ENOENT) return false;
  return ErrnoStatus(errno, "unlink", name);
}

absl::StatusOr<FileFacts> LinuxHost::Describe(const UniqueFd& file) {
  struct stat facts;
  if (fstat(file.get(), &facts) != 0) return ErrnoStatus(errno, "stat", FdName(file));
  FileFacts result;
  result.device = facts.st_dev;
  result.inode = facts.st_ino;
  result.size_bytes = facts.st_size;
  result.allocated_bytes = static_cast<uint64_t>(facts.st_blocks) * 512;
  // Declared as long, written as int by every filesystem.
  uint32_t generation = 0;
  if (ioctl(file.get(), FS_IOC_GETVERSION, &generation) == 0) result.generation = generation;
  return result;
}

absl::Status LinuxHost::Resize(const UniqueFd& file, uint64_t size_bytes) {
  if (ftruncate(file.get(), static_cast<off_t>(size_bytes)) != 0) {
    return ErrnoStatus(errno, "ftruncate", FdName(file));
  }
  return absl::OkStatus();
}

absl::Status LinuxHost::Preallocate(const UniqueFd& file, uint64_t offset, uint64_t length) {
  while (fallocate(file.get(), 0, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0) {
    // Large ranges can be interrupted; what was allocated stays, so that each try gets further.
    if (errno != EINTR) return ErrnoStatus(errno, "fallocate", FdName(file));
  }
  return absl::OkStatus();
}

absl::Status LinuxHost::Clone(const UniqueFd& from, const UniqueFd& to) {
  // On btrfs both files must agree on NOCOW: TuneImage the new one as the old one was.
  if (ioctl(to.get(), FICLONE, from.get()) != 0) {
    return ErrnoStatus(errno, "FICLONE", FdName(to));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> LinuxHost::Read(const UniqueFd& file, uint64_t offset,
                                            uint64_t length) {
  std::string data(length, '\0');
  size_t done = 0;
  while (done < length) {
    const ssize_t count =
        pread(file.get(), data.data() + done, length - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "read", FdName(file));
    if (count == 0) break;
    done += count;
  }
  data.resize(done);
  return data;
}

absl::Status LinuxHost::Write(const UniqueFd& file, uint64_t offset, std::string_view data) {
  while (!data.empty()) {
    const ssize_t count = pwrite(file.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "write", FdName(file));
    data.remove_prefix(count);
    offset += count;
  }
  return absl::OkStatus();
}

absl::Status LinuxHost::Sync(const UniqueFd& file) { return Flush(file); }

absl::Status LinuxHost::LockFile(const UniqueFd& file) {
  if (flock(file.get(), LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  if (errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(
        fmt::format("flock {}: another process holds it", FdName(file)));
  }
  return ErrnoStatus(errno, "flock", FdName(file));
}

}  // namespace holdfast
