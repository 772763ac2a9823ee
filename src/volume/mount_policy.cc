#include "volume/mount_policy.h"

#include <algorithm>
#include <array>

#include "fmt/format.h"

namespace holdfast {
namespace {

struct Rule {
  std::string_view name;
  std::string_view value;  // empty: whatever the value
  std::string_view reason;
};

constexpr std::string_view kIdentity = "two filesystems of one identity could be mounted at once";
constexpr std::string_view kLog = "the filesystem would be shown without its log replayed";
constexpr std::string_view kBarrier = "data that fsync promised would be lost at a power cut";
constexpr std::string_view kWriteback =
    "old contents of blocks could appear in files after a crash";
constexpr std::string_view kLoop = "Holdfast attaches images itself";
constexpr std::string_view kPlace = "Holdfast places its verified mount itself";
constexpr std::string_view kRoot = "another root than the verified one would be shown";
constexpr std::string_view kDevice = "a volume has exactly one device";
constexpr std::string_view kDamage = "damage would be passed over";
constexpr std::string_view kNoSetuid = "volumes are always mounted nosuid and nodev";
constexpr std::string_view kJournal = "a damaged journal would be replayed unseen";
constexpr std::string_view kPropagation = "propagation of mounts is kubelet's to choose";

constexpr std::array kRules = {
    Rule{"nouuid", "", kIdentity},
    Rule{"norecovery", "", kLog},
    Rule{"noload", "", kLog},
    Rule{"nologreplay", "", kLog},
    Rule{"nobarrier", "", kBarrier},
    Rule{"data", "writeback", kWriteback},
    Rule{"data_err", "ignore", "a failed write would go unnoticed"},
    Rule{"journal_async_commit", "", kJournal},
    Rule{"nojournal_checksum", "", kJournal},
    Rule{"loop", "", kLoop},
    Rule{"offset", "", kLoop},
    Rule{"sizelimit", "", kLoop},
    Rule{"encryption", "", kLoop},
    Rule{"bind", "", kPlace},
    Rule{"rbind", "", kPlace},
    Rule{"move", "", kPlace},
    Rule{"remount", "", kPlace},
    Rule{"shared", "", kPropagation},
    Rule{"rshared", "", kPropagation},
    Rule{"slave", "", kPropagation},
    Rule{"rslave", "", kPropagation},
    Rule{"private", "", kPropagation},
    Rule{"rprivate", "", kPropagation},
    Rule{"unbindable", "", kPropagation},
    Rule{"runbindable", "", kPropagation},
    Rule{"subvol", "", kRoot},
    Rule{"subvolid", "", kRoot},
    Rule{"sb", "", "another superblock than the verified one would be used"},
    Rule{"journal_dev", "", kDevice},
    Rule{"journal_path", "", kDevice},
    Rule{"logdev", "", kDevice},
    Rule{"rtdev", "", kDevice},
    Rule{"device", "", kDevice},
    Rule{"degraded", "", kDamage},
    Rule{"rescue", "", kDamage},
    Rule{"recovery", "", kDamage},
    Rule{"usebackuproot", "", kDamage},
    Rule{"ignorebadroots", "", kDamage},
    Rule{"ignoredatacsums", "", kDamage},
    Rule{"abort", "", "the filesystem would be stopped at once"},
    Rule{"fatal_errors", "", "an error of one volume would stop the machine"},
    Rule{"dev", "", kNoSetuid},
    Rule{"suid", "", kNoSetuid},
    Rule{"noacl", "", "the ACLs of the volume's root could not be proven"},
};

// Flags of any filesystem. With a value the kernel takes them as if they had none, and we would
// not.
constexpr std::array<std::string_view, 14> kPlainFlags = {
    "ro",   "rw",     "sync",    "async",    "dirsync",    "lazytime", "nolazytime",
    "mand", "nomand", "noatime", "relatime", "nodiratime", "noexec",   "strictatime"};

// At the commas outside of double quotes.
std::vector<std::string_view> SplitOptions(std::string_view list) {
  std::vector<std::string_view> options;
  bool quoted = false;
  size_t begin = 0;
  for (size_t i = 0; i <= list.size(); ++i) {
    if (i == list.size() || (list[i] == ',' && !quoted)) {
      options.push_back(list.substr(begin, i - begin));
      begin = i + 1;
    } else if (list[i] == '"') {
      quoted = !quoted;
    }
  }
  return options;
}

std::string_view Unquoted(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    return value.substr(1, value.size() - 2);
  }
  return value;
}

std::string Printable(std::string_view text) {
  std::string printable(text.substr(0, 64));
  for (char& c : printable) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return printable;
}

}  // namespace

std::optional<std::string> RefusedMountOption(std::string_view name,
                                              std::optional<std::string_view> value) {
  if (name == "errors" && value != "remount-ro") {
    return "a filesystem that met an error must stop writing: only errors=remount-ro is allowed";
  }
  // The kernel reads 00, 0x0 and +0 as numbers.
  if (name == "barrier" && value && value != "1") return std::string(kBarrier);
  if (value && std::find(kPlainFlags.begin(), kPlainFlags.end(), name) != kPlainFlags.end()) {
    return "it takes no value";
  }
  if (name.starts_with("X-mount.") || name.starts_with("x-mount.")) {
    return "it would make or change the volume's root or its target";
  }
  for (const Rule& rule : kRules) {
    if (rule.name == name && (rule.value.empty() || rule.value == value)) {
      return std::string(rule.reason);
    }
  }
  return std::nullopt;
}

absl::Status CheckMountFlags(const std::vector<std::string>& mount_flags) {
  for (const std::string& list : mount_flags) {
    for (std::string_view option : SplitOptions(list)) {
      const size_t equals = option.find('=');
      std::optional<std::string_view> value;
      if (equals != option.npos) value = Unquoted(option.substr(equals + 1));
      if (auto reason = RefusedMountOption(option.substr(0, equals), value)) {
        return absl::InvalidArgumentError(
            fmt::format("mount option '{}' is refused: {}; remove it from the class's mountOptions",
                        Printable(option), *reason));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace holdfast
