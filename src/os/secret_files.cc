#include "os/secret_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/status_macros.h"
#include "base/uuid.h"
#include "os/errno_status.h"
#include "os/unique_fd.h"

namespace holdfast {
namespace {

constexpr char kCurrent[] = "current", kNext[] = "next";

absl::Status WriteWhole(int folder, const std::string& name, const std::string& text) {
  const UniqueFd file(
      openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return ErrnoStatus(errno, "openat", name);
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = write(file.get(), text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "write", name);
    done += static_cast<size_t>(count);
  }
  return absl::OkStatus();
}

// What `current` names now; empty: nothing.
std::string Target(int folder) {
  char name[256];
  const ssize_t size = readlinkat(folder, kCurrent, name, sizeof name);
  return size > 0 && static_cast<size_t>(size) < sizeof name
             ? std::string(name, static_cast<size_t>(size))
             : "";
}

}  // namespace

absl::Status ReplaceSecretFiles(const std::string& folder,
                                const std::vector<std::pair<std::string, std::string>>& files) {
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, "mkdir", folder);
  }
  const UniqueFd parent(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.valid()) return ErrnoStatus(errno, "open", folder);
  const std::string made = NewUuid();
  if (mkdirat(parent.get(), made.c_str(), 0700) != 0) return ErrnoStatus(errno, "mkdirat", made);
  const UniqueFd inside(
      openat(parent.get(), made.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!inside.valid()) return ErrnoStatus(errno, "openat", made);
  for (const auto& [name, text] : files) RETURN_IF_ERROR(WriteWhole(inside.get(), name, text));
  const std::string before = Target(parent.get());
  unlinkat(parent.get(), kNext, 0);  // of a writer that died
  if (symlinkat(made.c_str(), parent.get(), kNext) != 0) {
    return ErrnoStatus(errno, "symlinkat", kNext);
  }
  if (renameat(parent.get(), kNext, parent.get(), kCurrent) != 0) {
    return ErrnoStatus(errno, "renameat", kCurrent);
  }
  if (before.empty() || before.find('/') != std::string::npos) return absl::OkStatus();
  for (const auto& file : files) unlinkat(parent.get(), (before + "/" + file.first).c_str(), 0);
  unlinkat(parent.get(), before.c_str(), AT_REMOVEDIR);
  return absl::OkStatus();
}

}  // namespace holdfast
