// Mount flags: both readers, the early check and libmount's, agree; what is accepted has none of
// the options that defeat Holdfast's promise, and written out it is read the same.
#include <set>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "node/capability_check.h"
#include "tests/fuzz/property.h"
#include "volume/mount_policy.h"

namespace holdfast {
namespace {

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty() && lines.size() < 8) {
    lines.emplace_back(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(lines.back().size() + 1, text.size()));
  }
  return lines;
}

// Our own list of what docs/pools.md and ADRs promise never to pass on.
bool IsForbidden(const MountFlags::Option& option) {
  static const std::set<std::string> kAlways = {
      "nouuid",    "norecovery", "noload",        "nologreplay",
      "nobarrier", "loop",       "bind",          "remount",
      "move",      "subvol",     "subvolid",      "sb",
      "degraded",  "rescue",     "recovery",      "device",
      "logdev",    "rtdev",      "journal_dev",   "dev",
      "suid",      "noacl",      "usebackuproot", "offset",
      "sizelimit", "encryption", "journal_path",  "journal_async_commit"};
  const std::string value = option.value.value_or("");
  return kAlways.contains(option.name) || option.name.starts_with("X-mount.") ||
         option.name.starts_with("x-mount.") || (option.name == "data" && value == "writeback") ||
         (option.name == "data_err" && value == "ignore") ||
         (option.name == "barrier" && value == "0") ||
         (option.name == "errors" && value != "remount-ro");
}

std::vector<std::string> Format(const MountFlags& flags) {
  std::vector<std::string> list;
  if (flags.read_only) list.push_back("ro");
  if (flags.no_exec) list.push_back("noexec");
  if (flags.atime) list.push_back(*flags.atime);
  if (flags.no_dir_atime) list.push_back("nodiratime");
  if (flags.synchronous) list.push_back("sync");
  if (flags.dir_synchronous) list.push_back("dirsync");
  for (const MountFlags::Option& option : flags.filesystem_options) {
    list.push_back(option.value ? fmt::format("{}=\"{}\"", option.name, *option.value)
                                : option.name);
  }
  return list;
}

bool Same(const MountFlags& a, const MountFlags& b) {
  if (a.filesystem_options.size() != b.filesystem_options.size()) return false;
  for (size_t i = 0; i < a.filesystem_options.size(); ++i) {
    const auto &x = a.filesystem_options[i], &y = b.filesystem_options[i];
    if (x.name != y.name || x.value != y.value) return false;
  }
  return a.read_only == b.read_only && a.no_exec == b.no_exec && a.atime == b.atime &&
         a.no_dir_atime == b.no_dir_atime && a.synchronous == b.synchronous &&
         a.dir_synchronous == b.dir_synchronous;
}

void CheckAccepted(const MountFlags& flags) {
  for (const MountFlags::Option& option : flags.filesystem_options) {
    Require(!IsForbidden(option), "no option that defeats the promise is accepted");
    Require(!option.name.empty() && IsOneLine(option.name), "an option has a printable name");
    Require(option.name.find_first_of(",=\"") == std::string::npos, "a name is one name");
    Require(option.value.value_or("").find('"') == std::string::npos, "a value's quotes are off");
  }
  const auto again = ParseMountFlags(Format(flags));
  Require(again.ok() && Same(*again, flags), "flags that are written out are read the same");
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  const std::vector<std::string> lines = Lines({reinterpret_cast<const char*>(data), size});
  const absl::Status early = CheckMountFlags(lines);
  const auto late = ParseAllowedFlags({.content = Content::kExt4, .mount_flags = lines});
  if (late.ok()) CheckAccepted(*late);
  if (!late.ok()) {
    Require(absl::IsInvalidArgument(late.status()), "a refusal is INVALID_ARGUMENT");
    Require(!late.status().message().empty(), "a refusal says why");
  }
  // A volume is not made for a class with which it could never be staged, and none is staged with
  // what the making refuses. (What libmount cannot take apart is only seen by the late one.)
  Require(early.ok() || !late.ok(), "what the early check refuses is refused at the node");
  if (ParseMountFlags(lines).ok()) {
    Require(early.ok() == late.ok(), "of what can be taken apart both readers think the same");
  }
  return 0;
}
