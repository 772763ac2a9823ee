// What stands on a pool, in the order in which it must go before the pool's disk can.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/pool.h"

namespace holdfast {

struct DrainStep {
  std::string object;   // "/var/lib/kubelet/pods/…/mount", "/dev/loop3", "/srv/pool"
  std::string detail;   // "ext4 of vol-…", "raw block of vol-…", "snapshots/….img"
  std::string held_by;  // "postgres (pid 4711), …"; empty: nobody was found
  std::string command;  // empty: it goes by itself with the step before
};

// In the kernel's reverse order within each list: later mounts lie on earlier ones.
struct DrainOrder {
  std::vector<DrainStep> targets;  // what pods see
  std::vector<DrainStep> stages;   // the mounts that targets are clones of
  std::vector<DrainStep> loops;
  std::vector<DrainStep> pool;  // its mount, and its own loop device where it has one
};

// Reads only. Mounts are those of this process's mount namespace; who holds a loop elsewhere is in
// held_by.
absl::StatusOr<DrainOrder> PlanDrain(const Pool& pool);

// A word for a command that somebody pastes into a shell.
std::string ShellWord(const std::string& text);

}  // namespace holdfast
