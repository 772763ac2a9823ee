// What is remembered of a filesystem's root directory, so that nobody changes it unseen.
#pragma once

#include <cstdint>
#include <string>

namespace holdfast {

struct Timestamp {
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
  bool operator==(const Timestamp&) const = default;
};

// Source: statx(2), FS_IOC_GETVERSION and the system.posix_acl_* attributes of the root.
struct RootAttributes {
  uint64_t inode = 0;
  uint32_t generation = 0;
  Timestamp birth_time;
  Timestamp change_time;   // ctime: tells lawful changes from unlawful ones after a crash
  uint32_t mode = 0;       // permission bits, 07777
  uint32_t owner = 0;      // uid
  uint32_t group = 0;      // gid
  std::string access_acl;  // "user::rwx,user:1000:r--,…"; empty when there is none
  std::string default_acl;
  bool operator==(const RootAttributes&) const = default;
};

// Inode, generation and birth time are those of one directory.
bool SameDirectory(const RootAttributes& a, const RootAttributes& b);

// Whatever differs, a workload may have done it while the filesystem was mounted: it is the same
// directory, and its ctime moved.
bool MayBeLawful(const RootAttributes& recorded, const RootAttributes& found);

// The fields that differ (ctime aside), as two lists: "mode 0700, owner 26:26" each. Both are empty
// when none does.
struct RootDifference {
  std::string expected;
  std::string found;
};
RootDifference DescribeDifference(const RootAttributes& expected, const RootAttributes& found);

}  // namespace holdfast
