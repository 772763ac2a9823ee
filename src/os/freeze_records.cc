// Which targets may be frozen: one small file each in the run folder, named after the target's
// digest (targets are longer than file names may be) and holding the target.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/linux_host.h"
#include "os/small_file.h"

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
  const UniqueFd file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return ErrnoStatus(errno, "open", path);
  // Not flushed: it need not outlive the kernel, which forgets the freeze with it.
  if (write(file.get(), target.data(), target.size()) != static_cast<ssize_t>(target.size())) {
    return ErrnoStatus(errno, "write", path);
  }
  return absl::OkStatus();
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
    std::optional<std::string> target = ReadSmallFile(fmt::format("{}/{}", folder, entry->d_name));
    // Empty: the process ended between making and writing it, before it froze anything.
    if (target.has_value() && !target->empty()) targets.push_back(*std::move(target));
  }
  return targets;
}

}  // namespace holdfast
