#include "tests/integration/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> OurEnvironment() {
  std::vector<std::string> result;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!std::string_view(*variable).starts_with("HOLDFAST_")) result.emplace_back(*variable);
  }
  return result;
}

// Only async-signal-safe calls between fork and exec: the test has gRPC's threads.
pid_t Spawn(const std::vector<std::string>& argv, const std::vector<std::string>& environment,
            int output) {
  const std::vector<char*> arguments = Pointers(argv), variables = Pointers(environment);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execvpe(arguments[0], arguments.data(), variables.data());
  _exit(127);
}

int ExitCode(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

Ended Execute(const std::vector<std::string>& argv) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return {-1, "pipe2 failed"};
  const pid_t pid = Spawn(argv, OurEnvironment(), pipe_ends[1]);
  close(pipe_ends[1]);
  Ended ended;
  char buffer[4096];
  for (ssize_t got; (got = read(pipe_ends[0], buffer, sizeof(buffer))) > 0;) {
    ended.output.append(buffer, static_cast<size_t>(got));
  }
  close(pipe_ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  ended.exit_code = ExitCode(status);
  return ended;
}

std::string MustRun(const std::vector<std::string>& argv) {
  Ended ended = Execute(argv);
  std::string line;
  for (const std::string& argument : argv) line += argument + " ";
  EXPECT_EQ(ended.exit_code, 0) << line << ": " << ended.output;
  while (ended.output.ends_with('\n')) ended.output.pop_back();
  return ended.output;
}

std::unique_ptr<Child> Child::Start(const std::vector<std::string>& argv, const Options& options) {
  const char* path = options.output_path.empty() ? "/dev/null" : options.output_path.c_str();
  const int output = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  std::vector<std::string> environment = OurEnvironment();
  environment.insert(environment.end(), options.environment.begin(), options.environment.end());
  std::unique_ptr<Child> child(new Child(Spawn(argv, environment, output)));
  close(output);
  return child;
}

Child::~Child() { Kill(); }

void Child::Signal(int number) {
  if (!exit_code_) kill(pid_, number);
}

std::optional<int> Child::Wait(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!exit_code_) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      exit_code_ = ExitCode(status);
    } else if (std::chrono::steady_clock::now() >= deadline) {
      break;
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  return exit_code_;
}

void Child::Kill() {
  if (exit_code_) return;
  kill(pid_, SIGKILL);
  int status = 0;
  waitpid(pid_, &status, 0);
  exit_code_ = ExitCode(status);
}

}  // namespace holdfast
