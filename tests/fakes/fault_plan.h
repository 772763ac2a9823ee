// Which call of a decorated interface fails: the one part FaultyHost and FaultyEngine share.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include <fmt/format.h>
#include "absl/status/status.h"

namespace holdfast {

enum class CallKind { kReading, kMutating };

// Fault tests run an operation with n = 0, 1, 2… until count() <= n: then nothing failed any more.
// Thread-safe.
class FaultPlan {
 public:
  enum class Counts { kAllCalls, kMutatingCalls };

  // From now on: the n-th counted call (from 0) fails with `status` before it does anything, and
  // so do those after it when `persistent`.
  void FailNth(int64_t n, Counts counts = Counts::kAllCalls,
               absl::Status status = absl::InternalError("injected fault"),
               bool persistent = false) {
    const std::lock_guard lock(mutex_);
    n_ = n;
    counts_ = counts;
    status_ = std::move(status);
    persistent_ = persistent;
    count_ = 0;
    failed_call_.clear();
    failing_method_.clear();
  }
  // From now on: every call of `method` fails with `status` before it does anything, no other does.
  void FailMethod(std::string method, absl::Status status) {
    FailNth(-1, Counts::kAllCalls, std::move(status));
    const std::lock_guard lock(mutex_);
    failing_method_ = std::move(method);
  }
  // Nothing fails any more; counting starts again.
  void Clear() { FailNth(-1); }

  // Calls counted since FailNth or Clear.
  int64_t count() const {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  // The name of the first method that was made to fail, empty when none was.
  std::string failed_call() const {
    const std::lock_guard lock(mutex_);
    return failed_call_;
  }

  absl::Status Admit(CallKind kind, const char* call) {
    const std::lock_guard lock(mutex_);
    if (counts_ == Counts::kMutatingCalls && kind == CallKind::kReading) return absl::OkStatus();
    const int64_t number = count_++;
    if (failing_method_ == call) return status_;
    if (n_ < 0 || (persistent_ ? number < n_ : number != n_)) return absl::OkStatus();
    if (failed_call_.empty()) failed_call_ = call;
    return absl::Status(status_.code(),
                        fmt::format("{}: {}", call, std::string(status_.message())));
  }

 private:
  mutable std::mutex mutex_;
  int64_t n_ = -1;
  Counts counts_ = Counts::kAllCalls;
  absl::Status status_;
  bool persistent_ = false;
  int64_t count_ = 0;
  std::string failed_call_;
  std::string failing_method_;  // empty: none
};

// One forwarded method: `kind` is Reading or Mutating, `parameters` and `arguments` in parentheses.
#define HOLDFAST_FAULTY_FORWARD(kind, result, method, parameters, arguments)                     \
  result method parameters override {                                                            \
    if (absl::Status fault = plan_.Admit(CallKind::k##kind, #method); !fault.ok()) return fault; \
    return inner_.method arguments;                                                              \
  }

}  // namespace holdfast
