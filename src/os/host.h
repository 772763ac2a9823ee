// The one door to the machine. Everything above os/ speaks these verbs; LinuxHost makes the system
// calls, tests/fake_host simulates a kernel, and one contract suite (tests/contract) runs on both.
#pragma once

#include <string>
#include <vector>

#include "os/files.h"
#include "os/filesystems.h"
#include "os/loops.h"
#include "os/mounts.h"

namespace holdfast {

class Host : public Files, public LoopDevices, public Filesystems, public Mounts {
 public:
  ~Host() override = default;

  // Remembers in the run folder (/run/holdfast) that this target is about to be frozen; the next
  // start thaws it before anything else. A record survives the process, not the boot.
  virtual absl::Status RecordFreeze(const std::string& target) = 0;
  virtual absl::Status ForgetFreeze(const std::string& target) = 0;
  virtual absl::StatusOr<std::vector<std::string>> RecordedFreezes() = 0;
};

}  // namespace holdfast
