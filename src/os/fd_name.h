// What to call a descriptor in a message.
#pragma once

#include <string>

#include "os/unique_fd.h"

namespace holdfast {

// The last component of the path it was opened by, as /proc tells; "fd 7" when it does not.
std::string FdName(const UniqueFd& fd);

}  // namespace holdfast
