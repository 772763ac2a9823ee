#include "os/processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "os/mount_table.h"
#include "os/small_file.h"

namespace holdfast {
namespace {

// Names of the entries that are numbers.
std::vector<std::string> NumberedEntries(const std::string& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(folder.c_str()), closedir);
  if (stream == nullptr) return names;
  while (const dirent* entry = readdir(stream.get())) {
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) != 0) {
      names.emplace_back(entry->d_name);
    }
  }
  return names;
}

std::string Describe(const std::string& pid) {
  return fmt::format("{} (pid {})",
                     ReadSmallFile(fmt::format("/proc/{}/comm", pid)).value_or("a process"), pid);
}

std::string Link(const std::string& path) {
  char text[128];
  const ssize_t length = readlink(path.c_str(), text, sizeof(text));
  return length > 0 ? std::string(text, length) : "";
}

// Until it executes its program a child has all descriptors of ours, and is no holder.
bool IsChildBeforeExec(const std::string& pid) {
  const auto status = ReadSmallFile(fmt::format("/proc/{}/status", pid));
  if (!status.has_value() || !absl::StrContains(*status, fmt::format("\nPPid:\t{}\n", getpid()))) {
    return false;
  }
  return Link(fmt::format("/proc/{}/exe", pid)) == Link("/proc/self/exe");
}

// Names of the processes that may hold something.
std::vector<std::string> Processes() {
  std::vector<std::string> pids = NumberedEntries("/proc");
  std::erase_if(pids, IsChildBeforeExec);
  return pids;
}

// Of what a link of /proc leads to. DONT_SYNC: a dead network filesystem must not hold us.
std::optional<struct statx> Follow(const std::string& link) {
  struct statx facts;
  if (statx(AT_FDCWD, link.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO | STATX_MNT_ID,
            &facts) != 0) {
    return std::nullopt;
  }
  return facts;
}

uint64_t DeviceOf(const struct statx& facts) {
  return makedev(facts.stx_dev_major, facts.stx_dev_minor);
}

bool IsHeld(const struct statx& facts, const HeldThings& things) {
  if (things.mount_ids.count(facts.stx_mnt_id) != 0) return true;
  if (things.filesystem_device != 0 && DeviceOf(facts) == things.filesystem_device) return true;
  return things.node_device != 0 && S_ISBLK(facts.stx_mode) &&
         makedev(facts.stx_rdev_major, facts.stx_rdev_minor) == things.node_device;
}

bool HasOpen(const std::string& pid, const HeldThings& things) {
  std::vector<std::string> links = {fmt::format("/proc/{}/cwd", pid),
                                    fmt::format("/proc/{}/root", pid)};
  for (const std::string& fd : NumberedEntries(fmt::format("/proc/{}/fd", pid))) {
    links.push_back(fmt::format("/proc/{}/fd/{}", pid, fd));
  }
  return std::any_of(links.begin(), links.end(), [&](const std::string& link) {
    const std::optional<struct statx> facts = Follow(link);
    return facts.has_value() && IsHeld(*facts, things);
  });
}

bool HasMapped(const std::string& pid, uint64_t device) {
  const std::unique_ptr<FILE, int (*)(FILE*)> maps(
      fopen(fmt::format("/proc/{}/maps", pid).c_str(), "re"), fclose);
  if (maps == nullptr) return false;
  char line[512];
  while (fgets(line, sizeof(line), maps.get()) != nullptr) {
    unsigned int major_number = 0, minor_number = 0;
    // "7f…-7f… r-xp 00000000 07:03 123   /path"; a longer path's rest fails to match.
    if (sscanf(line, "%*x-%*x %*4s %*x %x:%x", &major_number, &minor_number) == 2 &&
        makedev(major_number, minor_number) == device) {
      return true;
    }
  }
  return false;
}

// "socket:[4711]", as links of /proc/PID/fd lead to it: its path.
std::map<std::string, std::string> SocketsBeneath(const std::string& beneath) {
  std::map<std::string, std::string> sockets;
  std::ifstream table("/proc/net/unix");
  for (std::string line; std::getline(table, line);) {
    // "0000…: 00000002 00000000 00010000 0001 01 4711 /path"; without one when it is not bound.
    unsigned long inode = 0;
    int end = 0;
    if (sscanf(line.c_str(), "%*s %*x %*x %*x %*x %*x %lu %n", &inode, &end) != 1) continue;
    std::string path = line.substr(end);
    if (path.starts_with(beneath)) sockets[fmt::format("socket:[{}]", inode)] = std::move(path);
  }
  return sockets;
}

}  // namespace

std::vector<std::string> FindSocketOwners(const std::string& beneath, size_t limit) {
  std::vector<std::string> found;
  const std::map<std::string, std::string> sockets = SocketsBeneath(beneath);
  if (sockets.empty()) return found;
  for (const std::string& pid : Processes()) {
    if (found.size() >= limit) break;
    for (const std::string& fd : NumberedEntries(fmt::format("/proc/{}/fd", pid))) {
      const auto socket = sockets.find(Link(fmt::format("/proc/{}/fd/{}", pid, fd)));
      if (socket == sockets.end()) continue;
      found.push_back(Describe(pid) + " with its socket " + socket->second);
      break;
    }
  }
  return found;
}

std::vector<std::string> FindWriters(uint64_t device, uint64_t inode, size_t limit) {
  std::vector<std::string> found;
  for (const std::string& pid : Processes()) {
    for (const std::string& fd : NumberedEntries(fmt::format("/proc/{}/fd", pid))) {
      const std::string link = fmt::format("/proc/{}/fd/{}", pid, fd);
      // The link's own mode says how the descriptor was opened (proc(5)).
      struct stat how = {};
      if (lstat(link.c_str(), &how) != 0 || (how.st_mode & S_IWUSR) == 0) continue;
      const std::optional<struct statx> facts = Follow(link);
      if (!facts.has_value() || facts->stx_ino != inode || DeviceOf(*facts) != device) continue;
      found.push_back(Describe(pid));
      break;
    }
    if (found.size() >= limit) break;
  }
  return found;
}

std::vector<std::string> FindHolders(const HeldThings& things, size_t limit) {
  std::vector<std::string> found;
  for (const std::string& pid : Processes()) {
    if (found.size() >= limit) break;
    if (HasOpen(pid, things) ||
        (things.mapped_device != 0 && HasMapped(pid, things.mapped_device))) {
      found.push_back(Describe(pid));
    }
  }
  return found;
}

std::vector<std::string> FindMountsElsewhere(const Loop& loop, size_t limit, HeldThings& things) {
  std::vector<std::string> found;
  const std::string own = Link("/proc/self/ns/mnt");
  std::set<std::string> seen;
  for (const std::string& pid : NumberedEntries("/proc")) {
    const std::string mount_namespace = Link(fmt::format("/proc/{}/ns/mnt", pid));
    if (mount_namespace.empty() || !seen.insert(mount_namespace).second) continue;
    const absl::StatusOr<std::vector<MountEntry>> table =
        ReadMountTable(fmt::format("/proc/{}/mountinfo", pid));
    if (!table.ok()) continue;  // it has ended meanwhile
    bool shown = false;
    for (const MountEntry& entry : *table) {
      if (!ShowsLoop(entry, loop)) continue;
      shown = true;
      things.mount_ids.insert(entry.id);
      if (entry.type != "devtmpfs") things.mapped_device = entry.device;
    }
    if (shown && mount_namespace != own && found.size() < limit) found.push_back(Describe(pid));
  }
  return found;
}

}  // namespace holdfast
