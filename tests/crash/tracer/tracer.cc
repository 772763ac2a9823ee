#include "tests/crash/tracer/tracer.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "tests/crash/tracer/mutating_calls.h"

namespace holdfast {
namespace {

constexpr int kExecFailed = 127;
constexpr int kSyscallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD

// In the child: waits until it is traced (a reported call without a tracer would be refused), takes
// the filter and becomes the driver. No memory is asked for after the fork but what was prepared.
[[noreturn]] void BecomeDriver(const int (&ready)[2], const sock_fprog& filter, char* const* argv) {
  char byte = 0;
  close(ready[1]);  // else the tracer's death would not be seen
  if (read(ready[0], &byte, 1) != 1) _exit(kExecFailed);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) _exit(kExecFailed);
  execv(argv[0], argv);
  _exit(kExecFailed);
}

int ExitCode(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

int Tracer::Start(const std::vector<std::string>& argv) {
  std::vector<sock_filter> code = MutatingCallFilter();
  const sock_fprog filter = {static_cast<unsigned short>(code.size()), code.data()};
  std::vector<char*> pointers;
  for (const std::string& argument : argv) pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return errno;
  driver_ = fork();
  if (driver_ < 0) return errno;
  if (driver_ == 0) BecomeDriver(ready, filter, pointers.data());
  close(ready[0]);
  control_.driver = driver_;
  constexpr long kOptions = PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD |
                            PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
  const int seized = ptrace(PTRACE_SEIZE, driver_, nullptr, kOptions) == 0 ? 0 : errno;
  if (seized == 0 && write(ready[1], "", 1) != 1) return EPIPE;
  close(ready[1]);
  return seized;
}

int Tracer::Run() {
  int exit_code = -1;
  while (true) {
    int status = 0;
    const pid_t thread = waitpid(-1, &status, __WALL);
    if (thread < 0 && errno == EINTR) continue;
    if (thread < 0) return exit_code;  // ECHILD: nobody is left
    if (WIFSTOPPED(status)) {
      OnStop(thread, status);
      continue;
    }
    is_driver_.erase(thread);
    // The kernel tells of the first thread's end last of all.
    if (thread == driver_) {
      exit_code = ExitCode(status);
      control_.gone = 1;
    }
  }
}

void Tracer::OnStop(pid_t thread, int status) {
  const int signal = WSTOPSIG(status);
  switch (status >> 16) {
    case PTRACE_EVENT_SECCOMP:
      OnCall(thread);
      return;
    case PTRACE_EVENT_CLONE:
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
      Resume(thread, 0);
      return;
    case PTRACE_EVENT_STOP:  // a new thread or child, or a stop of the whole group
      if (signal == SIGTRAP) {
        Resume(thread, 0);
      } else {
        ptrace(PTRACE_LISTEN, thread, nullptr, nullptr);
      }
      return;
  }
  if (signal != kSyscallStop) {
    Resume(thread, signal);
    return;
  }
  if (thread == killed_at_exit_) Kill();
  killed_at_exit_ = 0;
  Resume(thread, 0);
}

// The call has not begun: the filter's stop comes before it.
void Tracer::OnCall(pid_t thread) {
  if (control_.armed == 0 || control_.fired != 0 || !IsDriver(thread)) {
    Resume(thread, 0);
    return;
  }
  __ptrace_syscall_info info = {};
  ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info);
  const auto name = Mutates(thread, info.seccomp.nr, info.seccomp.args);
  if (name) {
    const uint32_t number = control_.count + 1;
    if (number <= TracerControl::kMaxNames) {
      strncpy(control_.names[number - 1], name->c_str(), TracerControl::kNameBytes - 1);
    }
    control_.count = number;
    if (IsTheOne(number, *name)) {
      if (control_.when == KillWhen::kBefore) {
        Kill();
      } else {
        killed_at_exit_ = thread;
      }
    }
  }
  Resume(thread, 0);
}

bool Tracer::IsTheOne(uint32_t number, const std::string& name) const {
  if (killed_at_exit_ != 0) return false;
  const std::string wanted = control_.kill_name;
  return wanted.empty() ? number == control_.kill_at : name.starts_with(wanted);
}

// A thread that waits in a stop before its call is killed there: the call does not happen.
void Tracer::Kill() {
  control_.fired = 1;
  kill(driver_, SIGKILL);
}

// ESRCH, when it was killed meanwhile, is nobody's error.
void Tracer::Resume(pid_t thread, int signal) {
  const auto how = thread == killed_at_exit_ ? PTRACE_SYSCALL : PTRACE_CONT;
  ptrace(how, thread, nullptr, static_cast<long>(signal));
}

bool Tracer::IsDriver(pid_t thread) {
  const auto known = is_driver_.find(thread);
  if (known != is_driver_.end()) return known->second;
  std::ifstream status("/proc/" + std::to_string(thread) + "/status");
  bool is_driver = false;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Tgid:")) is_driver = std::stoi(line.substr(5)) == driver_;
  }
  is_driver_[thread] = is_driver;
  return is_driver;
}

}  // namespace holdfast
