// A filesystem of the test's own: sparse file, loop device, mkfs, mount.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast {

class ScratchDisk {
 public:
  // Mounted at `folder`/`name`; the file lies beside it. `mkfs` is a program with its arguments,
  // to which the device is added.
  ScratchDisk(const std::string& folder, const std::string& name, uint64_t bytes,
              const std::vector<std::string>& mkfs);
  // Unmounts and detaches; a failure of either is a failure of the test.
  ~ScratchDisk();
  ScratchDisk(const ScratchDisk&) = delete;
  ScratchDisk& operator=(const ScratchDisk&) = delete;

  const std::string& path() const { return path_; }
  const std::string& loop() const { return loop_; }

 private:
  std::string path_, file_, loop_;
};

enum class PoolKind { kXfs, kBtrfs };
const char* PoolKindName(PoolKind kind);
// The mkfs that makes a lawful pool.
std::vector<std::string> MkfsOf(PoolKind kind);

}  // namespace holdfast
