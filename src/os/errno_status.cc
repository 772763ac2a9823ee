#include "os/errno_status.h"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

namespace holdfast {

absl::StatusCode CodeOfErrno(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::StatusCode::kResourceExhausted;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return absl::StatusCode::kUnavailable;
    case EUCLEAN:  // also EFSCORRUPTED
    case EBADMSG:  // also EFSBADCRC
      return absl::StatusCode::kDataLoss;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status ErrnoStatusAs(absl::StatusCode code, int error, std::string_view call,
                           std::string_view object) {
  // std::generic_category is thread-safe where strerror is not.
  std::string message =
      fmt::format("{} {}: {}", call, object, std::generic_category().message(error));
  if (error == EIO)
    message += "; the disk beneath it fails or has gone: the kernel's log says more";
  return absl::Status(code, message);
}

absl::Status ErrnoStatus(int error, std::string_view call, std::string_view object) {
  return ErrnoStatusAs(CodeOfErrno(error), error, call, object);
}

}  // namespace holdfast
