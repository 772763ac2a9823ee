// The real server as a child process.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/integration/child.h"

namespace holdfast {

// Of HOLDFAST_BIN, or of the build tree that this program is in: ".../holdfast".
std::string ProgramPath(const std::string& name);

class DriverProcess {
 public:
  // `folder` gets the socket, the log, the run folder, the kubelet's folder and TMPDIR.
  DriverProcess(std::string folder, std::vector<std::string> pools);

  // Flags that every start gets on top.
  std::vector<std::string>& flags() { return flags_; }

  // Starts it and waits until its socket answers or it has ended. False: it has ended.
  bool Start();
  // SIGTERM, then the exit code; -1 and SIGKILL when it has not ended after a minute.
  int Stop();
  void Kill();
  bool running() const { return child_ != nullptr; }
  pid_t pid() const { return child_->pid(); }
  Child& child() { return *child_; }
  std::vector<std::string> CommandLine() const;

  std::string socket() const { return folder_ + "/csi.sock"; }
  std::string kubelet() const { return folder_ + "/kubelet"; }
  std::string run_folder() const { return folder_ + "/run"; }
  std::string temporary() const { return folder_ + "/tmp"; }
  // Of all starts.
  std::string Log() const;
  // Another program than ProgramPath("holdfast"), for the starts to come.
  void set_program(std::string path) { program_ = std::move(path); }
  // What its descriptors name, sockets and other nameless ones left out.
  std::vector<std::string> OpenFiles() const;

 private:
  const std::string folder_;
  std::string program_;  // empty: ProgramPath("holdfast")
  const std::vector<std::string> pools_;
  std::vector<std::string> flags_;
  std::unique_ptr<Child> child_;
};

}  // namespace holdfast
