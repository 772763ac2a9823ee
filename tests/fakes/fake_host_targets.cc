// Target paths, the boot and what survives the process but not the boot.
#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include "base/status_macros.h"
#include "tests/fakes/fake_host.h"

namespace holdfast {

absl::StatusOr<FakeHost::Target> FakeHost::Resolve(const std::string& target) {
  const auto beneath = [&](const std::string& root) {
    return target.size() > root.size() + 1 && target.rfind(root + "/", 0) == 0;
  };
  if (std::none_of(target_roots_.begin(), target_roots_.end(), beneath)) {
    return absl::InvalidArgumentError(
        fmt::format("target {}: expected a path beneath {}", target, target_roots_.front()));
  }
  Target found;
  found.inode = root_;
  for (size_t start = 1; start < target.size();) {
    const size_t end = std::min(target.find('/', start), target.size());
    const std::string name = target.substr(start, end - start);
    start = end + 1;
    if (name.empty()) continue;
    if (name == "." || name == ".." || name.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(fmt::format("target {}: not a plain path", target));
    }
    found.name = name;
    found.path += "/" + name;
    found.parent = found.inode;
    found.inode = nullptr;
    if (!found.parent) continue;
    if (found.parent->kind != FakeInode::Kind::kFolder) {
      found.parent = nullptr;
      continue;
    }
    const auto entry = found.parent->entries.find(found.name);
    if (entry == found.parent->entries.end()) continue;
    if (entry->second->kind == FakeInode::Kind::kSymlink) {
      return absl::InvalidArgumentError(
          fmt::format("target {}: {} is a symbolic link", target, found.name));
    }
    found.inode = entry->second;
  }
  return found;
}

absl::Status FakeHost::CheckOutsideVolumes(const Target& place) {
  for (const MountPtr& mount : table_) {
    if (place.path.rfind(mount->target + "/", 0) != 0) continue;
    return absl::FailedPreconditionError(
        fmt::format("target {}: expected a parent folder outside of every volume, found it in the "
                    "one mounted at {}; name another path",
                    place.path, mount->target));
  }
  return absl::OkStatus();
}

absl::Status FakeHost::EnsureTarget(const std::string& target, TargetKind kind) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(Target place, Resolve(target));
  RETURN_IF_ERROR(CheckOutsideVolumes(place));
  const auto wanted =
      kind == TargetKind::kFolder ? FakeInode::Kind::kFolder : FakeInode::Kind::kFile;
  if (place.inode) {
    if (place.inode->kind == wanted) return absl::OkStatus();
    return absl::InvalidArgumentError(fmt::format("target {}: expected a {}, found something else",
                                                  target,
                                                  kind == TargetKind::kFolder ? "folder" : "file"));
  }
  if (!place.parent) {
    return absl::FailedPreconditionError(
        fmt::format("target {}: its folder does not exist", target));
  }
  place.parent->entries[place.name] = std::make_shared<FakeInode>(wanted, place.parent->pool);
  return absl::OkStatus();
}

absl::Status FakeHost::RemoveTarget(const std::string& target) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(Target place, Resolve(target));
  if (!place.inode) return absl::OkStatus();
  if (TopmostAt(place.path)) {
    return absl::FailedPreconditionError(fmt::format("target {}: it is a mount", target));
  }
  RETURN_IF_ERROR(CheckOutsideVolumes(place));
  if (!place.inode->entries.empty() || (place.inode->kind == FakeInode::Kind::kFile &&
                                        place.inode->pool->disk.Size(place.inode->file) > 0)) {
    return absl::FailedPreconditionError(
        fmt::format("target {}: expected it empty; nothing is removed recursively", target));
  }
  place.parent->entries.erase(place.name);
  return absl::OkStatus();
}

absl::StatusOr<std::string> FakeHost::ResolveTarget(const std::string& target) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(const Target place, Resolve(target));
  return place.path;
}

absl::StatusOr<bool> FakeHost::TargetExists(const std::string& target) {
  const auto lock = Enter();
  ASSIGN_OR_RETURN(Target place, Resolve(target));
  return place.inode != nullptr;
}

absl::StatusOr<std::string> FakeHost::BootId() {
  const auto lock = Enter();
  return boot_id_;
}

absl::Status FakeHost::RecordFreeze(uint64_t device) {
  const auto lock = Enter();
  if (std::count(freeze_records_.begin(), freeze_records_.end(), device) == 0) {
    freeze_records_.push_back(device);
  }
  return absl::OkStatus();
}

absl::Status FakeHost::ForgetFreeze(uint64_t device) {
  const auto lock = Enter();
  std::erase(freeze_records_, device);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint64_t>> FakeHost::RecordedFreezes() {
  const auto lock = Enter();
  return freeze_records_;
}

}  // namespace holdfast
