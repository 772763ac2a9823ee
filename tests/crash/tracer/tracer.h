// Runs the driver under ptrace, counts the mutating system calls of all its threads, and kills it
// at one of them. What the driver starts is traced too, because it inherits the filter, but is
// neither counted nor killed.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "tests/crash/tracer/control.h"

namespace holdfast {

// One thread calls everything. The driver dies with it.
class Tracer {
 public:
  explicit Tracer(TracerControl& control) : control_(control) {}
  // 0, or the errno of what failed; the driver runs then.
  int Start(const std::vector<std::string>& argv);
  // Returns when the driver and all that it started have ended; the driver's exit code, 128 + n
  // when signal n ended it.
  int Run();

 private:
  void OnStop(pid_t thread, int status);
  void OnCall(pid_t thread);
  bool IsTheOne(uint32_t number, const std::string& name) const;
  void Kill();
  void Resume(pid_t thread, int signal);
  bool IsDriver(pid_t thread);

  TracerControl& control_;
  pid_t driver_ = 0;
  pid_t killed_at_exit_ = 0;         // the thread whose call must return before the kill
  std::map<pid_t, bool> is_driver_;  // threads that were seen
};

}  // namespace holdfast
