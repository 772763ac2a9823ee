// Mount flags of a StorageClass or PV, taken apart by libmount.
#include <fmt/format.h>
#include <libmount/libmount.h>
#include <sys/mount.h>

#include <cctype>
#include <string_view>

#include "base/status_macros.h"
#include "os/mounts.h"

namespace holdfast {
namespace {

// The flags of the mount itself. False: the option is one of the filesystem's.
bool ApplyMountFlag(std::string_view name, MountFlags& flags) {
  if (name == "ro" || name == "rw") {
    flags.read_only = name == "ro";
  } else if (name == "noexec" || name == "exec") {
    flags.no_exec = name == "noexec";
  } else if (name == "noatime" || name == "relatime" || name == "strictatime") {
    flags.atime = std::string(name);
  } else if (name == "nodiratime" || name == "diratime") {
    flags.no_dir_atime = name == "nodiratime";
  } else if (name == "sync" || name == "async") {
    flags.synchronous = name == "sync";
  } else if (name == "dirsync") {
    flags.dir_synchronous = true;
  } else {
    // Always set, or the absence of everything.
    return name == "nosuid" || name == "nodev" || name == "defaults";
  }
  return true;
}

absl::Status Refuse(const std::string& flag) {
  return absl::InvalidArgumentError(
      fmt::format("mount flag: expected name or name=value, found '{}'", flag));
}

// libmount keeps the quotes of context="a,b"; the kernel wants the value.
std::string_view Unquote(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    value.remove_prefix(1);
    value.remove_suffix(1);
  }
  return value;
}

absl::Status ApplyFlag(const std::string& flag, MountFlags& flags) {
  for (const char c : flag) {
    if (std::iscntrl(static_cast<unsigned char>(c)) != 0) return Refuse(flag);
  }
  std::string rest = flag;  // libmount walks a mutable string, and leaves it as it is
  char* cursor = rest.data();
  while (true) {
    char* name = nullptr;
    char* value = nullptr;
    size_t name_size = 0, value_size = 0;
    const int result = mnt_optstr_next_option(&cursor, &name, &name_size, &value, &value_size);
    if (result < 0 || (result == 0 && name_size == 0)) return Refuse(flag);
    if (result > 0) {
      // It also calls it the end where a quote stays open.
      const bool finished = std::string_view(cursor).find_first_not_of(',') == std::string::npos;
      return finished ? absl::OkStatus() : Refuse(flag);
    }
    MountFlags::Option option{std::string(name, name_size), std::nullopt};
    if (value != nullptr) option.value = std::string(Unquote({value, value_size}));
    // libmount takes "=5" for a name.
    if (option.name.find_first_of("=\"") != std::string::npos ||
        option.value.value_or("").find('"') != std::string::npos) {
      return Refuse(flag);
    }
    if (option.value.has_value() || !ApplyMountFlag(option.name, flags)) {
      flags.filesystem_options.push_back(std::move(option));
    }
  }
}

}  // namespace

absl::StatusOr<MountFlags> ParseMountFlags(const std::vector<std::string>& flags) {
  MountFlags result;
  for (const std::string& flag : flags) {
    if (flag.empty()) return Refuse(flag);
    RETURN_IF_ERROR(ApplyFlag(flag, result));
  }
  return result;
}

}  // namespace holdfast
