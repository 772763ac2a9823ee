// Which targets may be frozen: one symbolic link each in the run folder, named after the target's
// digest (targets are longer than file names may be) and pointing to the target. A link is there
// with its text or not at all: a file that was made and not yet written would stay for ever. Nobody
// follows it.
#include <dirent.h>
#include <fmt/format.h>
#include <limits.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/linux_host.h"

namespace holdfast {
namespace {

std::string Folder(const std::string& run_folder) { return run_folder + "/freezes"; }

std::string RecordPath(const std::string& run_folder, const std::string& target) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(target.data()), target.size(), digest);
  std::string path = Folder(run_folder) + "/";
  for (const unsigned char byte : digest) path += fmt::format("{:02x}", byte);
  return path;
}

absl::Status EnsureFolders(const std::string& run_folder) {
  for (const std::string& path : {run_folder, Folder(run_folder)}) {
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus(errno, "mkdir", path);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status LinuxHost::RecordFreeze(const std::string& target) {
  RETURN_IF_ERROR(EnsureFolders(run_folder_));
  const std::string path = RecordPath(run_folder_, target);
  // Not flushed: it need not outlive the kernel, which forgets the freeze with it. EEXIST: the
  // record of that very target.
  if (symlink(target.c_str(), path.c_str()) == 0 || errno == EEXIST) return absl::OkStatus();
  return ErrnoStatus(errno, "symlink", path);
}

absl::Status LinuxHost::ForgetFreeze(const std::string& target) {
  const std::string path = RecordPath(run_folder_, target);
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, "unlink", path);
}

absl::StatusOr<std::vector<std::string>> LinuxHost::RecordedFreezes() {
  const std::string folder = Folder(run_folder_);
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(folder.c_str()), closedir);
  std::vector<std::string> targets;
  if (stream == nullptr) {
    if (errno == ENOENT) return targets;
    return ErrnoStatus(errno, "open", folder);
  }
  while (const dirent* entry = readdir(stream.get())) {
    if (entry->d_name[0] == '.') continue;
    char target[PATH_MAX];
    const ssize_t length = readlinkat(dirfd(stream.get()), entry->d_name, target, sizeof(target));
    if (length > 0) targets.emplace_back(target, static_cast<size_t>(length));
  }
  return targets;
}

}  // namespace holdfast
