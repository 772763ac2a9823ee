// The real server as a child process.
#pragma once

#include <sys/types.h>

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
  virtual ~DriverProcess() = default;

  // Flags that every start gets on top.
  std::vector<std::string>& flags() { return flags_; }
  // For the starts to come; 0 unless it is set.
  void set_trash_grace(std::chrono::seconds grace) { trash_grace_ = grace; }

  // Starts it and waits until its socket answers or it has ended. False: it has ended.
  virtual bool Start();
  // SIGTERM, then the exit code; -1 and SIGKILL when it has not ended after a minute.
  int Stop();
  void Kill();
  bool running() const { return child_ != nullptr; }
  virtual pid_t pid() const { return child_->pid(); }
  Child& child() { return *child_; }
  std::vector<std::string> CommandLine() const;

  const std::string& folder() const { return folder_; }
  std::string socket() const { return folder_ + "/csi.sock"; }
  std::string kubelet() const { return folder_ + "/kubelet"; }
  std::string run_folder() const { return folder_ + "/run"; }
  std::string admin_socket() const { return folder_ + "/admin.sock"; }
  std::string temporary() const { return folder_ + "/tmp"; }
  // Of all starts.
  std::string Log() const;
  // Another program than ProgramPath("holdfast"), for the starts to come.
  void set_program(std::string path) { program_ = std::move(path); }
  // What its descriptors name, sockets and other nameless ones left out.
  std::vector<std::string> OpenFiles() const;

 protected:
  // What stands before the command line: a program that runs the driver as its child and ends with
  // it.
  virtual std::vector<std::string> Launcher() const { return {}; }
  virtual bool HasEnded(std::chrono::milliseconds timeout) {
    return child_->Wait(timeout).has_value();
  }
  // The process, no longer ours: another start may follow while it still ends.
  std::unique_ptr<Child> TakeChild() { return std::move(child_); }

 private:
  const std::string folder_;
  std::string program_;  // empty: ProgramPath("holdfast")
  const std::vector<std::string> pools_;
  std::vector<std::string> flags_;
  std::chrono::seconds trash_grace_{0};
  std::unique_ptr<Child> child_;
};

// Where the process's descriptors lead, sorted. What the driver opens once a minute to look at loop
// devices is waited for: only a leak stays.
std::vector<std::string> DescriptorsOf(pid_t pid);

}  // namespace holdfast
