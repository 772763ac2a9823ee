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
  // Its name has the whole of `folder` in it: when this program crashed and the mount is gone, the
  // name is all that sysfs tells of a loop device that was left on it.
  std::string path() const { return folder_ + name_; }

  // For what answers the kernel.
  LoggedDisk& disk() const { return disk_; }
  const std::string& name() const { return name_; }

 private:
  LoggedDisk& disk_;
  const std::string folder_;
  const std::string name_;  // "/!var!tmp!…", as sysfs writes a path in one name
  ::fuse* fuse_ = nullptr;
  std::thread serving_;  // one: a reply leaves before the next request is looked at
};

}  // namespace holdfast::powercut
