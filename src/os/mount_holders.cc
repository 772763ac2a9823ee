#include "os/mount_holders.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <functional>
#include <sstream>

#include "absl/strings/escaping.h"
#include "os/mount_table.h"
#include "os/processes.h"
#include "os/small_file.h"

namespace holdfast {
namespace {

bool LiesBeneath(const std::string& path, const MountEntry& entry) {
  return path.starts_with(entry.target + "/");
}

// Each of them pins the mount that it stands on.
void AddMountsBeneath(const MountEntry& entry, std::vector<std::string>& holders) {
  const absl::StatusOr<std::vector<MountEntry>> table = ReadMountTable();
  if (!table.ok()) return;
  std::string first;
  size_t more = 0;
  for (const MountEntry& other : *table) {
    if (other.parent_id != entry.id) continue;
    if (first.empty()) {
      first = other.target;
    } else {
      ++more;
    }
  }
  if (first.empty()) return;
  holders.push_back(more == 0 ? "a mount at " + first
                              : fmt::format("a mount at {} and {} more beneath", first, more));
}

// The files that are swapped to, without their names' escapes (" " is "\040").
std::vector<std::string> SwapFiles() {
  std::vector<std::string> files;
  std::istringstream lines(ReadSmallFile("/proc/swaps").value_or(""));
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.substr(0, line.find_first_of(" \t"));
    std::string path;
    if (name.starts_with("/") && absl::CUnescape(name, &path)) files.push_back(path);
  }
  return files;
}

// Those that no process has open: the kernel itself has a file there.
void AddKernelUsers(const std::vector<Loop>& loops, const std::function<bool(const Loop&)>& has,
                    const std::function<bool(const std::string&)>& lies_there,
                    std::vector<std::string>& holders) {
  for (const Loop& loop : loops) {
    if (holders.size() >= kMaxHolders) return;
    if (has(loop)) {
      holders.push_back(fmt::format("loop device {} on {}", loop.path, loop.backing_path));
    }
  }
  for (const std::string& swap : SwapFiles()) {
    if (holders.size() >= kMaxHolders) return;
    if (lies_there(swap)) holders.push_back("swap on " + swap);
  }
}

bool LiesOn(const std::string& path, uint64_t device) {
  struct stat facts = {};
  return stat(path.c_str(), &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_dev == device;
}

}  // namespace

std::vector<std::string> HoldersOfMount(const MountEntry& entry, const std::vector<Loop>& loops) {
  HeldThings things;
  things.mount_ids.insert(entry.id);
  std::vector<std::string> holders = FindHolders(things, kMaxHolders);
  AddMountsBeneath(entry, holders);
  AddKernelUsers(
      loops, [&](const Loop& loop) { return LiesBeneath(loop.backing_path, entry); },
      [&](const std::string& path) { return LiesBeneath(path, entry); }, holders);
  if (holders.empty()) holders = FindSocketOwners(entry.target + "/", kMaxHolders);
  // A bound device node: every open file of /dev is on the same filesystem, and holds nothing here.
  if (!holders.empty() || entry.type == "devtmpfs") return holders;
  // A copy that other namespaces got by propagation is busy in ours too; files that are only mapped
  // are seen by their filesystem.
  things.filesystem_device = entry.device;
  things.mapped_device = entry.device;
  holders = FindHolders(things, kMaxHolders);
  AddKernelUsers(
      loops, [&](const Loop& loop) { return loop.backing_device == entry.device; },
      [&](const std::string& path) { return LiesOn(path, entry.device); }, holders);
  return holders;
}

}  // namespace holdfast
