// What file data can still get on a mounted btrfs.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace holdfast {

// One allocation class of btrfs (data, metadata), in bytes of content, copies not counted.
struct BtrfsClass {
  uint64_t total = 0;
  uint64_t used = 0;
  uint64_t copies = 1;  // 2 for DUP and RAID1
};

struct BtrfsSpace {
  uint64_t device_bytes = 0;
  uint64_t unallocated = 0;     // in no chunk yet, of all devices
  uint64_t global_reserve = 0;  // part of metadata that only the filesystem itself may use
  BtrfsClass data, metadata;
  bool quotas = false;  // are enabled: a limit may lie below what is free
  std::string uuid;
};

// `folder` lies on btrfs.
absl::StatusOr<BtrfsSpace> ReadBtrfsSpace(const UniqueFd& folder);

// Free data chunks and what unallocated space can become data, less one more chunk of metadata as
// far as the present ones do not hold that much free: data that took it would leave the filesystem
// unable to record anything, deletions included.
uint64_t FreeForData(const BtrfsSpace& space);

// Device bytes that metadata can still get, copies counted (FolderFilesystem).
uint64_t FreeForMetadata(const BtrfsSpace& space);

}  // namespace holdfast
