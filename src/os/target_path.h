// Target paths: where kubelet wants mounts. Opened so that no symbolic link can lead elsewhere.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace holdfast {

struct TargetRoot {
  std::string given;     // as configured, which is how targets begin
  std::string resolved;  // without symbolic links, which is how the mount table has it
};

// FAILED_PRECONDITION when it is no folder, or is /.
absl::StatusOr<TargetRoot> ResolveTargetRoot(const std::string& root);

// A target taken apart. `relative` has at least one component.
struct TargetPath {
  std::string given;     // for messages
  std::string root;      // resolved
  std::string relative;  // beneath root, without "." or ".." or doubled slashes

  std::string Absolute() const { return root + "/" + relative; }
  std::string Name() const;            // last component
  std::string ParentRelative() const;  // "." when there is one component only
};

// INVALID_ARGUMENT when the target is not an absolute path beneath a root. Touches nothing.
absl::StatusOr<TargetPath> ParseTarget(const std::vector<TargetRoot>& roots,
                                       const std::string& target);

// O_PATH descriptors. NOT_FOUND: a component is missing; INVALID_ARGUMENT: one is a symbolic link
// or, before the last, no folder.
absl::StatusOr<UniqueFd> OpenTarget(const TargetPath& target);
absl::StatusOr<UniqueFd> OpenTargetParent(const TargetPath& target);
absl::StatusOr<UniqueFd> OpenTargetRoot(const TargetPath& target);

}  // namespace holdfast
