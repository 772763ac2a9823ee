// A LoggedDisk under a loop device, with the pool's filesystem on it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/integration/scratch_disk.h"
#include "tests/powercut/disk_file.h"

namespace holdfast::powercut {

class PoolDisk {
 public:
  // Served and attached below `folder`, with direct I/O and sectors of 4096 bytes; not mounted.
  // `disk` must outlive it.
  PoolDisk(LoggedDisk& disk, std::string folder);
  // Unmounts and detaches.
  ~PoolDisk();
  PoolDisk(const PoolDisk&) = delete;
  PoolDisk& operator=(const PoolDisk&) = delete;

  const absl::Status& status() const { return status_; }
  std::string path() const { return folder_ + "/pool"; }
  const std::string& loop() const { return loop_; }
  absl::Status Format(PoolKind kind);
  absl::Status Mount(PoolKind kind);
  absl::Status Unmount();

 private:
  absl::Status Attach();

  const std::string folder_;
  std::unique_ptr<DiskFile> file_;
  std::string loop_;
  bool mounted_ = false;
  absl::Status status_;
};

// INTERNAL with what the program printed unless it exits with 0.
absl::Status RunProgram(const std::vector<std::string>& argv);

}  // namespace holdfast::powercut
