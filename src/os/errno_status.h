// From errno to absl::Status, in the one way files.h describes.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace holdfast {

// "FICLONE a.img: No space left on device". A code that depends on what the call meant (NOT_FOUND,
// ALREADY_EXISTS, FAILED_PRECONDITION) is chosen by the caller, who passes it.
absl::Status ErrnoStatus(int error, std::string_view call, std::string_view object);
absl::Status ErrnoStatusAs(absl::StatusCode code, int error, std::string_view call,
                           std::string_view object);

absl::StatusCode CodeOfErrno(int error);

}  // namespace holdfast
