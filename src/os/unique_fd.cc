#include "os/unique_fd.h"

#include <unistd.h>

namespace holdfast {

void UniqueFd::Close() {
  if (fd_ < 0) return;
  // Linux has released the descriptor even when close fails: never repeat it.
  (void)::close(std::exchange(fd_, -1));
}

}  // namespace holdfast
