// Who else has an image open.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/fd_name.h"
#include "os/linux_host.h"
#include "os/processes.h"

namespace holdfast {

namespace {

// A child of ours has our descriptors until it executes its program.
constexpr std::chrono::milliseconds kLongestPause{16};

// The kernel grants a read lease (F_RDLCK) only when no description of the file is open for
// writing, by any process or by the kernel itself (a loop device); a write lease (F_WRLCK) only
// when none but `file` is open at all.
absl::StatusOr<bool> IsLeaseGranted(const UniqueFd& file, int kind) {
  // Whoever opens the file in the microseconds of the lease makes the kernel signal us, by default
  // with SIGIO, which would end the process. SIGURG is ignored by default.
  if (fcntl(file.get(), F_SETSIG, SIGURG) != 0) {
    return ErrnoStatus(errno, "F_SETSIG", FdName(file));
  }
  const int leased = fcntl(file.get(), F_SETLEASE, kind);
  const int error = errno;
  // Unlocking what was not granted is refused and harmless; the lease is never left behind.
  const int unlocked = fcntl(file.get(), F_SETLEASE, F_UNLCK);
  if (leased == 0 && unlocked != 0) return ErrnoStatus(errno, "F_UNLCK", FdName(file));
  if (leased != 0 && error != EAGAIN) return ErrnoStatus(error, "F_SETLEASE", FdName(file));
  return leased == 0;
}

}  // namespace

absl::StatusOr<bool> LinuxHost::IsOpenElsewhere(const UniqueFd& file) {
  ASSIGN_OR_RETURN(const bool alone, IsLeaseGranted(file, F_WRLCK));
  return !alone;
}

// Readers do not matter: measuring opens files.
absl::StatusOr<std::optional<std::string>> LinuxHost::OtherWriter(const UniqueFd& file) {
  for (std::chrono::milliseconds pause{1};; pause *= 2) {
    ASSIGN_OR_RETURN(const bool granted, IsLeaseGranted(file, F_RDLCK));
    if (granted) return std::optional<std::string>();
    ASSIGN_OR_RETURN(const FileFacts facts, Describe(file));
    ASSIGN_OR_RETURN(const std::vector<Loop> loops, Attachments(facts));
    if (!loops.empty()) return std::optional<std::string>("loop device " + loops.front().path);
    const std::vector<std::string> writers = FindWriters(facts.device, facts.inode, 1);
    if (!writers.empty()) return std::optional<std::string>(writers.front());
    if (pause > kLongestPause) return std::optional<std::string>("another process");
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace holdfast
