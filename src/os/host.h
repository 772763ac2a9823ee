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

  // Remembers in the run folder (/run/holdfast) that the filesystem with this device, as the mount
  // table has it, is about to be frozen; the next start thaws it before anything else. By its
  // device, because it may live on where it was published when the mount that it was frozen by is
  // gone. A record survives the process, not the boot.
  virtual absl::Status RecordFreeze(uint64_t device) = 0;
  virtual absl::Status ForgetFreeze(uint64_t device) = 0;
  virtual absl::StatusOr<std::vector<uint64_t>> RecordedFreezes() = 0;
};

}  // namespace holdfast
