#include "tests/crash/traced_driver.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "gtest/gtest.h"

namespace holdfast {
namespace {

constexpr std::chrono::minutes kPatience{1};

bool WaitUntil(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace

TracedDriver::~TracedDriver() { UnmapControl(control_); }

std::string TracedDriver::ControlPath() const {
  return folder() + "/tracer-" + std::to_string(starts_);
}

std::vector<std::string> TracedDriver::Launcher() const {
  return {ProgramPath("holdfast_tracer"), ControlPath()};
}

bool TracedDriver::Start(const std::optional<KillPoint>& armed) {
  if (auto last = TakeChild()) tracers_.push_back(std::move(last));
  UnmapControl(control_);
  unlink(ControlPath().c_str());
  ++starts_;
  control_ = MapControl(ControlPath());
  if (control_ == nullptr) {
    ADD_FAILURE() << ControlPath() << ": cannot be made";
    return false;
  }
  if (armed) Arm(*armed);
  return DriverProcess::Start();
}

bool TracedDriver::HasEnded(std::chrono::milliseconds timeout) {
  return DriverProcess::HasEnded(timeout) || control_->gone != 0;
}

void TracedDriver::Arm(const KillPoint& point) {
  control_->armed = 0;
  control_->count = 0;
  control_->kill_at = point.call;
  point.name.copy(control_->kill_name, TracerControl::kNameBytes - 1);
  control_->kill_name[std::min<size_t>(point.name.size(), TracerControl::kNameBytes - 1)] = '\0';
  control_->when = point.when;
  control_->armed = 1;
}

std::string TracedDriver::CallName(uint32_t call) const {
  if (call == 0 || call > std::min(Count(), TracerControl::kMaxNames)) return "no such call";
  return control_->names[call - 1];
}

bool TracedDriver::KilledAndGone() {
  return control_->fired != 0 && WaitUntil([this] { return control_->gone != 0; });
}

bool TracedDriver::WaitForOrphans() {
  const bool ended = std::all_of(tracers_.begin(), tracers_.end(), [](const auto& tracer) {
    return tracer->Wait(kPatience).has_value();
  });
  tracers_.clear();  // kills what is left
  return ended;
}

}  // namespace holdfast
