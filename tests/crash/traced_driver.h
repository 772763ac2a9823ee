// The driver below the tracer: its mutating system calls are counted, and it can be killed at one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/crash/tracer/control.h"
#include "tests/integration/driver_process.h"

namespace holdfast {

// The n-th mutating call, counted from 1 since it was armed, or the first whose name begins with
// `name`. Neither: only count.
struct KillPoint {
  uint32_t call = 0;
  KillWhen when = KillWhen::kBefore;
  std::string name = {};
};

class TracedDriver final : public DriverProcess {
 public:
  using DriverProcess::DriverProcess;
  ~TracedDriver() override;

  bool Start() override { return Start(std::nullopt); }
  // Counting from its first instruction on. False: it has ended, by the kill perhaps.
  bool Start(const std::optional<KillPoint>& armed);
  pid_t pid() const override { return control_->driver; }

  // Counts from now on, from 0.
  void Arm(const KillPoint& point);
  void Disarm() { control_->armed = 0; }
  uint32_t Count() const { return control_->count; }
  // What the n-th counted call was, such as "pwrite64 catalog.db-wal".
  std::string CallName(uint32_t call) const;
  // Whether the tracer killed it; then waits until it is gone. False when nothing was killed, or
  // when it outlived SIGKILL for a minute.
  bool KilledAndGone();
  // What the killed driver had started (mkfs and the like) goes on; waits for its end. False when
  // something still runs after a minute.
  bool WaitForOrphans();

 protected:
  std::vector<std::string> Launcher() const override;
  bool HasEnded(std::chrono::milliseconds timeout) override;

 private:
  std::string ControlPath() const;

  int starts_ = 0;
  TracerControl* control_ = nullptr;             // of the present start
  std::vector<std::unique_ptr<Child>> tracers_;  // of earlier ones, which wait for orphans
};

}  // namespace holdfast
