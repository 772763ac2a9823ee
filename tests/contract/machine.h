// A machine to run a contract suite on: a Host with an empty pool folder and a folder for targets,
// and what the suite must do and see behind the Host's back.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "os/host.h"
#include "tests/fakes/fake_host.h"

namespace holdfast {

class Machine {
 public:
  virtual ~Machine() = default;

  virtual Host& host() = 0;
  virtual const std::string& pool() const = 0;     // a folder on a filesystem with reflinks
  virtual const std::string& targets() const = 0;  // a folder beneath a target root
  virtual void MakeFolder(const std::string& path) = 0;
  virtual void MakeFile(const std::string& path) = 0;
  virtual void MakeSymlink(const std::string& path, const std::string& to) = 0;
  virtual void RemovePath(const std::string& path) = 0;
  // Gives the calling thread CAP_SYS_RESOURCE or takes it away until the next call. False: there is
  // none to give.
  virtual bool SetResourceCapability(bool has) = 0;
  // Whether a program that is given that free loop device can discard on it.
  virtual bool DiscardsForOthers(int loop_number) = 0;
  // Loop devices, mounts, freezes that are there and should not be; empty when all is clean. Waits
  // a little for what the kernel does after the last close.
  virtual std::vector<std::string> Leftovers() = 0;
};

struct MachineKind {
  std::string name;             // "Fake_xfs", "Linux_btrfs"
  std::string pool_filesystem;  // "xfs", "btrfs"
  bool real = false;
  // Empty: it can run here.
  std::string WhyNot() const;
  std::unique_ptr<Machine> Make(uint64_t pool_bytes) const;
};

inline void PrintTo(const MachineKind& kind, std::ostream* stream) { *stream << kind.name; }

// The fake and the real one, each with an XFS and a btrfs pool.
std::vector<MachineKind> MachineKinds();
std::vector<MachineKind> RealMachineKinds();

// Number of this process's open descriptors.
size_t OpenDescriptors();

// True as soon as `condition` is, false when it is not within 10 s.
bool Eventually(const std::function<bool()>& condition);

}  // namespace holdfast
