// A real filesystem of the test's own: sparse file, loop device, mkfs, mount. Needs root.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace holdfast {

class MountedDisk {
 public:
  // Mounts a filesystem of `type` ("xfs" with reflink, "btrfs") at `folder`/disk. Aborts the test
  // program when it cannot: nothing that follows would mean anything.
  MountedDisk(const std::string& folder, const std::string& type, uint64_t size_bytes);
  // Unmounts, detaches, removes. Failing to is a test failure: something still uses it.
  ~MountedDisk();
  MountedDisk(const MountedDisk&) = delete;
  MountedDisk& operator=(const MountedDisk&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string file_, path_;
};

// Why nothing real can be tested here ("needs root", …); empty: it can, and this process has a
// private mount namespace from now on.
std::string WhyNoRealMachine();

}  // namespace holdfast
