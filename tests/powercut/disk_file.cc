#define FUSE_USE_VERSION 31
#include "tests/powercut/disk_file.h"

#include <fuse3/fuse.h>
#include <linux/falloc.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace holdfast::powercut {
namespace {

constexpr unsigned kLargestWriteBytes = 1 << 20;

const DiskFile& File() { return *static_cast<DiskFile*>(fuse_get_context()->private_data); }
LoggedDisk& Disk() { return File().disk(); }

bool InPages(off_t offset, uint64_t length) {
  const auto from = static_cast<uint64_t>(offset);
  return offset >= 0 && from % LoggedDisk::kPageBytes == 0 &&
         length % LoggedDisk::kPageBytes == 0 && from + length <= Disk().size_bytes();
}

void* Begin(fuse_conn_info* connection, fuse_config* config) {
  connection->max_write = kLargestWriteBytes;
  config->kernel_cache = 1;
  return fuse_get_context()->private_data;
}

int GetAttributes(const char* path, struct stat* facts, fuse_file_info*) {
  std::memset(facts, 0, sizeof(*facts));
  const bool file = path == File().name();
  if (!file && std::strcmp(path, "/") != 0) return -ENOENT;
  facts->st_mode = file ? S_IFREG | 0600 : S_IFDIR | 0700;
  facts->st_nlink = file ? 1 : 2;
  facts->st_blksize = LoggedDisk::kPageBytes;
  if (file) facts->st_size = static_cast<off_t>(Disk().size_bytes());
  return 0;
}

int Open(const char* path, fuse_file_info*) { return path == File().name() ? 0 : -ENOENT; }

int Read(const char*, char* out, size_t length, off_t offset, fuse_file_info*) {
  if (!InPages(offset, length)) return -EINVAL;
  Disk().Read(static_cast<uint64_t>(offset), length, out);
  return static_cast<int>(length);
}

int Write(const char*, const char* data, size_t length, off_t offset, fuse_file_info*) {
  if (!InPages(offset, length)) return -EINVAL;
  Disk().Write(static_cast<uint64_t>(offset), length, data);
  return static_cast<int>(length);
}

int Sync(const char*, int, fuse_file_info*) {
  Disk().Flush();
  return 0;
}

// A discard and a write of zeroes are writes too: both may be lost until they are flushed.
int Allocate(const char*, int mode, off_t offset, off_t length, fuse_file_info*) {
  const bool zeroes = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
  if (!zeroes || !InPages(offset, static_cast<uint64_t>(length))) return -EOPNOTSUPP;
  Disk().Zero(static_cast<uint64_t>(offset), static_cast<uint64_t>(length));
  return 0;
}

fuse_operations Operations() {
  fuse_operations operations{};
  operations.init = Begin;
  operations.getattr = GetAttributes;
  operations.open = Open;
  operations.read = Read;
  operations.write = Write;
  operations.fsync = Sync;
  operations.fallocate = Allocate;
  return operations;
}

std::string InOneName(std::string path) {
  std::replace(path.begin(), path.end(), '/', '!');
  return path;
}

}  // namespace

DiskFile::DiskFile(LoggedDisk& disk, std::string folder)
    : disk_(disk), folder_(std::move(folder)), name_("/" + InOneName(folder_)) {
  std::string name = "holdfast-powercut";
  char* argv[] = {name.data(), nullptr};
  fuse_args arguments = FUSE_ARGS_INIT(1, argv);
  const fuse_operations operations = Operations();
  fuse_ = fuse_new(&arguments, &operations, sizeof(operations), this);
  fuse_opt_free_args(&arguments);
  if (fuse_ == nullptr || fuse_mount(fuse_, folder_.c_str()) != 0) return;
  serving_ = std::thread([this] { fuse_loop(fuse_); });
}

DiskFile::~DiskFile() {
  // The unmount ends the loop, which waits for the next request. A file that somebody still has
  // open is taken away by force in the end: a test must not hang.
  for (int i = 0; i < 500 && umount2(folder_.c_str(), 0) != 0 && errno == EBUSY; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  umount2(folder_.c_str(), MNT_FORCE | MNT_DETACH);
  if (ok()) serving_.join();
  if (fuse_ == nullptr) return;
  fuse_unmount(fuse_);
  fuse_destroy(fuse_);
}

}  // namespace holdfast::powercut
