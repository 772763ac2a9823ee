// System calls and constants that are newer than the C library or its headers.
#pragma once

#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace holdfast {

// FSCONFIG_CMD_CREATE_EXCL of Linux 6.6. The C library's type is an enumeration that ends before.
inline constexpr auto kFsconfigCreateExclusive = static_cast<fsconfig_command>(8);

inline int OpenAt2(int folder, const char* path, uint64_t flags, uint64_t resolve) {
  open_how how = {};
  how.flags = flags;
  how.resolve = resolve;
  return static_cast<int>(syscall(SYS_openat2, folder, path, &how, sizeof(how)));
}

}  // namespace holdfast
