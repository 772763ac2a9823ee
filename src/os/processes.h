// Who has something open, from /proc. Best effort: processes come and go while it is read.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "os/loops.h"

namespace holdfast {

// Processes, "postgres (pid 4711)", that have the file open for writing, at most `limit`.
std::vector<std::string> FindWriters(uint64_t device, uint64_t inode, size_t limit);

// What holds a mount or a block device.
struct HeldThings {
  std::set<uint64_t> mount_ids;    // unique over all mount namespaces
  uint64_t filesystem_device = 0;  // st_dev of its files; 0: unknown (btrfs)
  uint64_t mapped_device = 0;      // as /proc/PID/maps shows it; 0: not looked at
  uint64_t node_device = 0;        // st_rdev of the block device; 0: none
};

// Processes with an open file, a working or root folder there, or one mapped.
std::vector<std::string> FindHolders(const HeldThings& things, size_t limit);

// Processes with a unix socket bound beneath that path, which ends with a slash. It pins its mount,
// and no file of it is open: "dbus-daemon (pid 4711) with its socket /a/b". Those of our network
// namespace.
std::vector<std::string> FindSocketOwners(const std::string& beneath, size_t limit);

// A loop's mounts in all mount namespaces: `things` gets their ids, and the first process of each
// other namespace that has one is returned.
std::vector<std::string> FindMountsElsewhere(const Loop& loop, size_t limit, HeldThings& things);

}  // namespace holdfast
