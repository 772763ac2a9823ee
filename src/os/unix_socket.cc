#include "os/unix_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/status_macros.h"
#include "fmt/format.h"
#include "os/process.h"

namespace holdfast {
namespace {

absl::Status Failed(const char* call, const std::string& object, int error) {
  return absl::InternalError(fmt::format("{} {}: {}", call, object, std::strerror(error)));
}

absl::Status InUse(const std::string& path, const std::string& flag) {
  return absl::FailedPreconditionError(fmt::format(
      "socket {} is in use by another process; stop that one or choose another {}", path, flag));
}

absl::StatusOr<UniqueFd> TakeLock(const std::string& path, const std::string& flag) {
  const std::string name = path + ".lock";
  UniqueFd lock(open(name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.valid()) return Failed("open", name, errno);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return InUse(path, flag);
    return Failed("flock", name, errno);
  }
  return lock;
}

// Whether somebody accepts connections there: a server that knows nothing of our lock file.
absl::StatusOr<bool> IsListening(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(fmt::format("socket path {} is too long", path));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  UniqueFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe.valid()) return Failed("socket", path, errno);
  if (connect(probe.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    return true;
  }
  if (errno == ECONNREFUSED || errno == ENOENT) return false;
  if (errno == EAGAIN || errno == EPROTOTYPE) return true;  // full backlog; a datagram socket
  return Failed("connect", path, errno);
}

}  // namespace

absl::StatusOr<SocketClaim> SocketClaim::Take(const std::string& path, const std::string& flag) {
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  RETURN_IF_ERROR(EnsureWritableFolder(folder, "make it or choose another " + flag));
  ASSIGN_OR_RETURN(UniqueFd lock, TakeLock(path, flag));
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) {
    if (errno != ENOENT) return Failed("lstat", path, errno);
    return SocketClaim(path, std::move(lock));
  }
  if (!S_ISSOCK(found.st_mode)) {
    return absl::FailedPreconditionError(fmt::format(
        "{}: expected a socket or nothing, found another kind of file; remove it or choose "
        "another {}",
        path, flag));
  }
  ASSIGN_OR_RETURN(const bool listening, IsListening(path));
  if (listening) return InUse(path, flag);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return Failed("unlink", path, errno);
  return SocketClaim(path, std::move(lock));
}

absl::Status SocketClaim::Protect() {
  if (chmod(path_.c_str(), 0600) != 0) return Failed("chmod", path_, errno);
  return absl::OkStatus();
}

PrivateCreation::PrivateCreation() : previous_(umask(0177)) {}
PrivateCreation::~PrivateCreation() { umask(previous_); }

}  // namespace holdfast
