#include "tests/integration/scratch_disk.h"

#include <sys/stat.h>
#include <unistd.h>

#include "gtest/gtest.h"
#include "tests/integration/child.h"

namespace holdfast {

ScratchDisk::ScratchDisk(const std::string& folder, const std::string& name, uint64_t bytes,
                         const std::vector<std::string>& mkfs)
    : path_(folder + "/" + name), file_(path_ + ".disk") {
  MustRun({"truncate", "--size", std::to_string(bytes), file_});
  loop_ = MustRun({"losetup", "--find", "--show", "--direct-io=on", file_});
  std::vector<std::string> make = mkfs;
  make.push_back(loop_);
  MustRun(make);
  EXPECT_EQ(mkdir(path_.c_str(), 0755), 0);
  MustRun({"mount", loop_, path_});
}

ScratchDisk::~ScratchDisk() {
  MustRun({"umount", path_});
  MustRun({"losetup", "--detach", loop_});
  rmdir(path_.c_str());
  unlink(file_.c_str());
}

const char* PoolKindName(PoolKind kind) { return kind == PoolKind::kXfs ? "xfs" : "btrfs"; }

std::vector<std::string> MkfsOf(PoolKind kind) {
  if (kind == PoolKind::kXfs) return {"mkfs.xfs", "-q", "-K", "-m", "reflink=1"};
  return {"mkfs.btrfs", "-q", "-K"};
}

}  // namespace holdfast
