// What the tracer and the test share: one page of memory, mapped by both.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace holdfast {

enum class KillWhen : uint32_t { kBefore, kAfter };

// The test arms, the tracer counts and kills. Whatever is written is written whole: no field is
// wider than a machine word, but for the names, which are complete before `count` tells of them.
struct TracerControl {
  static constexpr uint32_t kMaxNames = 1024;
  static constexpr uint32_t kNameBytes = 96;

  // Set by the test.
  std::atomic<uint32_t> armed{0};    // count now
  std::atomic<uint32_t> kill_at{0};  // the first counted call is 1; 0: only count
  std::atomic<KillWhen> when{KillWhen::kBefore};
  char kill_name[kNameBytes] = {};  // not empty: the first call whose name begins so, not kill_at
  // Set by the tracer.
  std::atomic<int32_t> driver{0};  // its process id
  std::atomic<uint32_t> count{0};  // mutating calls that began while armed
  std::atomic<uint32_t> fired{0};  // the tracer killed it
  std::atomic<uint32_t> gone{0};   // it has ended, killed or not
  char names[kMaxNames][kNameBytes] = {};
};

// Maps the file, which is made when it is absent. Null when it cannot be.
TracerControl* MapControl(const std::string& path);
void UnmapControl(TracerControl* control);

}  // namespace holdfast
