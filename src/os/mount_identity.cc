#include "os/mount_identity.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <string>

#include "os/errno_status.h"
#include "os/fd_name.h"
#include "os/small_file.h"

namespace holdfast {

absl::StatusOr<MountIdentity> IdentifyMount(const UniqueFd& fd) {
  struct statx facts;
  if (statx(fd.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &facts) == 0) {
    return MountIdentity{facts.stx_mnt_id, (facts.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0};
  }
  // A filesystem that was shut down answers every question with EIO. It is still mounted.
  const int error = errno;
  const std::string path = fmt::format("/proc/self/fdinfo/{}", fd.get());
  const std::string text = ReadSmallFile(path).value_or("");
  constexpr std::string_view kKey = "mnt_id:";
  const size_t at = text.find(kKey);
  if (at == std::string::npos) return ErrnoStatus(error, "statx", FdName(fd));
  const size_t digits = text.find_first_not_of(" \t", at + kKey.size());
  MountIdentity identity;
  if (digits == std::string::npos ||
      std::from_chars(text.data() + digits, text.data() + text.size(), identity.id).ec !=
          std::errc()) {
    return absl::InternalError(fmt::format("{}: expected mnt_id, found none", path));
  }
  return identity;
}

}  // namespace holdfast
