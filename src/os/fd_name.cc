#include "os/fd_name.h"

#include <fmt/format.h>
#include <linux/limits.h>
#include <unistd.h>

#include <cerrno>

namespace holdfast {

std::string FdName(const UniqueFd& fd) {
  const int saved = errno;  // it is called while an errno is being reported
  char path[PATH_MAX];
  const ssize_t length =
      readlink(fmt::format("/proc/self/fd/{}", fd.get()).c_str(), path, sizeof(path));
  errno = saved;
  if (length <= 0) return fmt::format("fd {}", fd.get());
  const std::string text(path, length);
  const size_t slash = text.rfind('/');
  return slash == std::string::npos || slash + 1 == text.size() ? text : text.substr(slash + 1);
}

}  // namespace holdfast
