// The claim on a unix socket's path: one server a path, and none stolen from a living one.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace holdfast {

// Holds flock(LOCK_EX) on "<path>.lock" as long as it lives, so that two servers that start at once
// cannot both find the path free. The lock file stays: removing it would let a third one in.
class SocketClaim {
 public:
  // Makes the socket's folder (0700, one level) when it is missing, and removes a socket that
  // nobody listens on any more. FAILED_PRECONDITION, one sentence: somebody listens, the path is
  // something else than a socket, or the folder cannot be made or written.
  // `flag`, for the sentence: with which another path is chosen.
  static absl::StatusOr<SocketClaim> Take(const std::string& path,
                                          const std::string& flag = "--endpoint");

  SocketClaim(SocketClaim&&) = default;
  SocketClaim& operator=(SocketClaim&&) = delete;

  // 0600, after the server has bound it.
  absl::Status Protect();

 private:
  SocketClaim(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  UniqueFd lock_;
};

// While it lives, what the process creates is for its owner alone (umask 0177): a socket is never
// open to others, not even between bind and chmod. Process-wide: nothing else may be created then.
class PrivateCreation {
 public:
  PrivateCreation();
  ~PrivateCreation();
  PrivateCreation(const PrivateCreation&) = delete;
  PrivateCreation& operator=(const PrivateCreation&) = delete;

 private:
  unsigned previous_;
};

}  // namespace holdfast
