// The calls that are interrupted, each with what it needs before and what must hold after.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tests/crash/tracer/control.h"
#include "tests/integration/integration_test.h"

namespace holdfast {

class CrashWorld;

// One operation on one ground. SetUp once; then for each kill Prepare, Call (killed), a restart,
// Again (which must be OK), Again (which must change nothing), Verify, Clean. A failure
// is a failure of the test, in whichever of them.
class Operation {
 public:
  virtual ~Operation() = default;
  virtual bool Fits(const Ground&) const { return true; }
  virtual std::chrono::seconds trash_grace() const { return std::chrono::seconds(0); }

  virtual void SetUp(CrashWorld&) {}
  virtual void Prepare(CrashWorld&) {}
  virtual absl::Status Call(CrashWorld& world) = 0;
  // What is asked for after the kill: the same, or its opposite when whoever asked gave up.
  virtual absl::Status Again(CrashWorld& world) { return Call(world); }
  virtual void Verify(CrashWorld&) {}
  virtual void Clean(CrashWorld&) {}

  // Mutating calls that a needless repeat may still make.
  virtual uint32_t calls_of_repeat() const { return 0; }
  // The call at which it is killed where the recovery from it is what is tested: the first one
  // whose name begins so, before or after it.
  virtual std::string interruption(Content) const { return ""; }
  virtual KillWhen interrupted() const { return KillWhen::kAfter; }
  // Kills in a run of CI.
  virtual size_t least_kills() const { return 3; }
};

struct OperationKind {
  std::string name;
  std::unique_ptr<Operation> (*make)();
};

std::vector<OperationKind> ControllerOperations();
std::vector<OperationKind> NodeOperations();
std::vector<OperationKind> ConcurrentOperations();

template <typename Kind>
std::unique_ptr<Operation> MakeOperation() {
  return std::make_unique<Kind>();
}

}  // namespace holdfast
