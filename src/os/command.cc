#include "os/command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/status_macros.h"
#include "os/errno_status.h"

namespace holdfast {
namespace {

constexpr int kFirstInherited = 3;
// Sources are moved above every target first, so that no dup2 overwrites a source to come.
constexpr int kAboveTargets = 64;

using SteadyClock = std::chrono::steady_clock;

// The file actions and attributes of one spawn, freed at scope end.
class SpawnSetup {
 public:
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

absl::StatusOr<pid_t> Spawn(const Command& command, const UniqueFd& output) {
  std::vector<UniqueFd> sources;
  for (int fd : command.inherited) {
    UniqueFd source(fcntl(fd, F_DUPFD_CLOEXEC, kAboveTargets));
    if (!source.valid()) return ErrnoStatus(errno, "F_DUPFD", command.program);
    sources.push_back(std::move(source));
  }
  SpawnSetup setup;
  posix_spawn_file_actions_addopen(&setup.actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&setup.actions, output.get(), 1);
  posix_spawn_file_actions_adddup2(&setup.actions, output.get(), 2);
  int next = kFirstInherited;
  for (const UniqueFd& source : sources) {
    posix_spawn_file_actions_adddup2(&setup.actions, source.get(), next++);
  }
  posix_spawn_file_actions_addclosefrom_np(&setup.actions, next);

  // The server blocks and ignores signals; a child of ours must not inherit that. A group of its
  // own keeps a terminal's Ctrl-C from ending a mkfs halfway.
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&setup.attributes, &none);
  posix_spawnattr_setsigdefault(&setup.attributes, &all);
  posix_spawnattr_setpgroup(&setup.attributes, 0);
  posix_spawnattr_setflags(&setup.attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);

  std::vector<std::string> arguments = {command.program};
  arguments.insert(arguments.end(), command.arguments.begin(), command.arguments.end());
  std::vector<std::string> environment = {"LC_ALL=C"};
  environment.insert(environment.end(), command.environment.begin(), command.environment.end());
  pid_t pid = -1;
  const int error = posix_spawn(&pid, command.program.c_str(), &setup.actions, &setup.attributes,
                                Pointers(arguments).data(), Pointers(environment).data());
  if (error != 0) return ErrnoStatus(error, "posix_spawn", command.program);
  return pid;
}

// Reads what is there without waiting. False at the end of the stream.
bool Drain(int fd, std::string& output) {
  char buffer[4096];
  while (true) {
    const ssize_t count = read(fd, buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN;
    if (count == 0) return false;
    const size_t room = kMaxOutputBytes - output.size();
    output.append(buffer, std::min<size_t>(room, count));
  }
}

// Waits until the child has ended or the deadline passed, collecting its output. True: ended.
bool WaitForEnd(int pid_fd, int output_fd, SteadyClock::time_point deadline, std::string& output) {
  bool open = true;
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now()).count();
    if (left <= 0) return false;
    pollfd polled[2] = {{pid_fd, POLLIN, 0}, {open ? output_fd : -1, POLLIN, 0}};
    const int ready = poll(polled, 2, static_cast<int>(std::min<int64_t>(left, 60'000)));
    if (ready < 0 && errno != EINTR) return false;
    if (ready <= 0) continue;
    if (polled[1].revents != 0) open = Drain(output_fd, output);
    if (polled[0].revents != 0) {
      if (open) Drain(output_fd, output);
      return true;
    }
  }
}

absl::StatusOr<int> Reap(pid_t pid, const std::string& program) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return ErrnoStatus(errno, "waitpid", program);
  }
  return status;
}

std::string_view LastLine(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  const size_t start = text.rfind('\n');
  return start == std::string_view::npos ? text : text.substr(start + 1);
}

}  // namespace

std::string InheritedPath(int index) {
  return fmt::format("/proc/self/fd/{}", kFirstInherited + index);
}

absl::StatusOr<CommandResult> Run(const Command& command) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2", command.program);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  if (fcntl(reader.get(), F_SETFL, O_NONBLOCK) != 0) {
    return ErrnoStatus(errno, "F_SETFL", command.program);
  }
  const auto deadline = SteadyClock::now() + command.deadline;
  ASSIGN_OR_RETURN(const pid_t pid, Spawn(command, writer));
  writer.Close();

  CommandResult result;
  const UniqueFd pid_fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const int pidfd_error = errno;
  const bool ended =
      pid_fd.valid() && WaitForEnd(pid_fd.get(), reader.get(), deadline, result.output);
  if (!ended) kill(pid, SIGKILL);  // not reaped yet: the number is still its own
  ASSIGN_OR_RETURN(const int status, Reap(pid, command.program));
  if (!pid_fd.valid()) return ErrnoStatus(pidfd_error, "pidfd_open", command.program);
  if (!ended) {
    return absl::DeadlineExceededError(fmt::format("{} was killed: it took more than {} s",
                                                   command.program,
                                                   command.deadline.count() / 1000.0));
  }
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  return result;
}

absl::Status ExpectSuccess(const Command& command, const CommandResult& result) {
  if (result.signal != 0) {
    return absl::UnavailableError(
        fmt::format("{} was killed by signal {}", command.program, result.signal));
  }
  if (result.exit_code != 0) {
    return absl::InternalError(fmt::format("{} exited with {}: {}", command.program,
                                           result.exit_code, LastLine(result.output)));
  }
  return absl::OkStatus();
}

absl::Status RunExpectingSuccess(const Command& command) {
  ASSIGN_OR_RETURN(const CommandResult result, Run(command));
  return ExpectSuccess(command, result);
}

absl::StatusOr<UniqueFd> MemoryFile(const std::string& name, const std::string& contents) {
  UniqueFd file(memfd_create(name.c_str(), MFD_CLOEXEC));
  if (!file.valid()) return ErrnoStatus(errno, "memfd_create", name);
  if (write(file.get(), contents.data(), contents.size()) !=
      static_cast<ssize_t>(contents.size())) {
    return ErrnoStatus(errno, "write", name);
  }
  return file;
}

}  // namespace holdfast
