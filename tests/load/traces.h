// What a driver holds, and what lies about after it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::load {

// Of a running process.
struct Traces {
  std::vector<std::string> files;  // that its descriptors name
  size_t descriptors = 0;          // all of them, sockets included
  uint64_t memory_bytes = 0;       // anonymous, resident
  size_t threads = 0;
};
Traces TracesOf(pid_t pid);

// Names of what lies in the folder.
std::vector<std::string> NamesIn(const std::string& folder);
// What the filesystem at `path` has free, once what was removed is given back: the largest of what
// is seen within a few seconds, or as soon as it is `enough`.
uint64_t FreeBytes(const std::string& path, uint64_t enough);

}  // namespace holdfast::load
