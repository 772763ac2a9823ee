// A LoggedDisk as a file that a loop device can be put on: a FUSE filesystem with one file in it.
#pragma once

#include <string>
#include <thread>

#include "tests/powercut/logged_disk.h"

struct fuse;

namespace holdfast::powercut {

class DiskFile {
 public:
  // Mounts it at `folder`, which must exist and be empty. `disk` must outlive it. ok() says whether
  // it worked.
  DiskFile(LoggedDisk& disk, std::string folder);
  // Whoever has the file open must be gone.
  ~DiskFile();
  DiskFile(const DiskFile&) = delete;
  DiskFile& operator=(const DiskFile&) = delete;

  bool ok() const { return serving_.joinable(); }
  std::string path() const { return folder_ + "/disk"; }

 private:
  const std::string folder_;
  ::fuse* fuse_ = nullptr;
  std::thread serving_;  // one: a reply leaves before the next request is looked at
};

}  // namespace holdfast::powercut
