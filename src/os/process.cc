#include "os/process.h"

#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "fmt/format.h"
#include "os/unique_fd.h"

namespace holdfast {
namespace {

sigset_t TerminationSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

void PreferThisThread() {
  const sched_param lowest{.sched_priority = 1};
  if (sched_setscheduler(0, SCHED_RR, &lowest) == 0) return;
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), -20);
}

std::string HostName() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

std::map<std::string, std::string> Environment() {
  std::map<std::string, std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    result.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return result;
}

void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  mallopt(M_TRIM_THRESHOLD, 2 << 20);
  mallopt(M_ARENA_MAX, 2);
}

absl::Status EnsureWritableFolder(const std::string& path, const std::string& remedy) {
  const auto refuse = [&] {
    return absl::FailedPreconditionError(
        fmt::format("folder {}: expected one that can be written, found: {}; {}", path,
                    std::strerror(errno), remedy));
  };
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return refuse();
  // access(2) lets root pass where a read-only or a pseudo filesystem refuses: create something.
  const UniqueFd file(open(path.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.valid()) return absl::OkStatus();
  if (errno != EOPNOTSUPP) return refuse();
  return access(path.c_str(), W_OK) == 0 ? absl::OkStatus() : refuse();
}

void BlockTerminationSignals() {
  const sigset_t set = TerminationSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

std::string WaitForTermination() {
  const sigset_t set = TerminationSignals();
  int number = 0;
  while (sigwait(&set, &number) != 0) {
  }
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  return number == SIGTERM ? "SIGTERM" : "SIGINT";
}

}  // namespace holdfast
