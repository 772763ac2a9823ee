#include "os/target_path.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/kernel_calls.h"

namespace holdfast {
namespace {

// The rest of `path` after the folder `root`, nullopt when it does not lie beneath it.
std::string_view Beneath(std::string_view path, std::string_view root) {
  while (!root.empty() && root.back() == '/') root.remove_suffix(1);
  if (path.size() <= root.size() + 1 || path.substr(0, root.size()) != root ||
      path[root.size()] != '/') {
    return {};
  }
  return path.substr(root.size() + 1);
}

// Without doubled and trailing slashes; empty when a component is "." or "..".
std::string Normalize(std::string_view rest) {
  std::string path;
  while (!rest.empty()) {
    const size_t slash = std::min(rest.find('/'), rest.size());
    const std::string_view component = rest.substr(0, slash);
    rest.remove_prefix(std::min(slash + 1, rest.size()));
    if (component.empty()) continue;
    if (component == "." || component == "..") return "";
    if (!path.empty()) path += '/';
    path += component;
  }
  return path;
}

absl::StatusOr<UniqueFd> OpenBeneath(const TargetPath& target, const std::string& relative,
                                     uint64_t flags) {
  ASSIGN_OR_RETURN(const UniqueFd root, OpenTargetRoot(target));
  UniqueFd fd(OpenAt2(root.get(), relative.c_str(), flags | O_PATH | O_CLOEXEC,
                      RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS));
  if (fd.valid()) return fd;
  switch (errno) {
    case ENOENT:
      return ErrnoStatusAs(absl::StatusCode::kNotFound, errno, "target", target.given);
    case ELOOP:
      return absl::InvalidArgumentError(
          fmt::format("target {}: expected folders only, found a symbolic link", target.given));
    case ENOTDIR:
    case ENAMETOOLONG:
    case EXDEV:
      return ErrnoStatusAs(absl::StatusCode::kInvalidArgument, errno, "target", target.given);
    default:
      return ErrnoStatus(errno, "openat2", target.given);
  }
}

}  // namespace

absl::StatusOr<TargetRoot> ResolveTargetRoot(const std::string& root) {
  const std::unique_ptr<char, decltype(&free)> resolved(realpath(root.c_str(), nullptr), free);
  if (resolved == nullptr) {
    return ErrnoStatusAs(absl::StatusCode::kFailedPrecondition, errno, "target root", root);
  }
  TargetRoot result{root, resolved.get()};
  struct stat facts;
  if (stat(result.resolved.c_str(), &facts) != 0 || !S_ISDIR(facts.st_mode) ||
      result.resolved == "/") {
    return absl::FailedPreconditionError(
        fmt::format("target root {}: expected a folder other than /; name kubelet's", root));
  }
  return result;
}

std::string TargetPath::Name() const { return relative.substr(relative.rfind('/') + 1); }

std::string TargetPath::ParentRelative() const {
  const size_t slash = relative.rfind('/');
  return slash == std::string::npos ? "." : relative.substr(0, slash);
}

absl::StatusOr<TargetPath> ParseTarget(const std::vector<TargetRoot>& roots,
                                       const std::string& target) {
  for (const TargetRoot& root : roots) {
    for (const std::string& prefix : {root.given, root.resolved}) {
      const std::string_view rest = Beneath(target, prefix);
      if (rest.empty() || rest.find('\0') != std::string_view::npos) continue;
      std::string relative = Normalize(rest);
      if (!relative.empty()) return TargetPath{target, root.resolved, std::move(relative)};
    }
  }
  std::string expected;
  for (const TargetRoot& root : roots) expected += (expected.empty() ? "" : " or ") + root.given;
  return absl::InvalidArgumentError(
      fmt::format("target path: expected an absolute path without '..' beneath {}, found '{}'; is "
                  "that --kubelet-root the kubelet's?",
                  expected, target));
}

absl::StatusOr<UniqueFd> OpenTargetRoot(const TargetPath& target) {
  UniqueFd root(open(target.root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return ErrnoStatus(errno, "open target root", target.root);
  return root;
}

absl::StatusOr<UniqueFd> OpenTarget(const TargetPath& target) {
  return OpenBeneath(target, target.relative, 0);
}

absl::StatusOr<UniqueFd> OpenTargetParent(const TargetPath& target) {
  return OpenBeneath(target, target.ParentRelative(), O_DIRECTORY);
}

}  // namespace holdfast
