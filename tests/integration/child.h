// Programs that a test runs: the driver itself, mkfs, mount, fio.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

// 128 + n for a program that signal n ended.
struct Ended {
  int exit_code = -1;
  std::string output;  // of both streams
};

// Runs a program to its end. Never a shell. No HOLDFAST_ variable is handed on.
Ended Execute(const std::vector<std::string>& argv);
// The same; its output without the last newline, and a test failure unless it exited with 0.
std::string MustRun(const std::vector<std::string>& argv);

// A program in the background. Killed and reaped at scope end, and when the test's process dies.
class Child {
 public:
  struct Options {
    std::string output_path;               // both streams; empty: /dev/null
    std::vector<std::string> environment;  // NAME=VALUE, on top of ours without HOLDFAST_*
  };
  static std::unique_ptr<Child> Start(const std::vector<std::string>& argv, const Options& options);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int number);
  // The exit code as in Ended; nullopt: it still runs.
  std::optional<int> Wait(std::chrono::milliseconds timeout);
  // SIGKILL, reaped.
  void Kill();

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;
  std::optional<int> exit_code_;
};

}  // namespace holdfast
