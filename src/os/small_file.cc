#include "os/small_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "os/errno_status.h"
#include "os/unique_fd.h"

namespace holdfast {
namespace {

constexpr size_t kMaxBytes = 64 * 1024;

}  // namespace

std::optional<std::string> ReadSmallFile(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return std::nullopt;
  std::string text;
  char buffer[4096];
  while (text.size() < kMaxBytes) {
    const ssize_t count = read(file.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) break;
    text.append(buffer, count);
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

absl::Status WriteSysfs(const std::string& path, const std::string& text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, "open", path);
  if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return ErrnoStatus(errno, "write", path);
  }
  return absl::OkStatus();
}

}  // namespace holdfast
