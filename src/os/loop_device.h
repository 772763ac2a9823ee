// One loop device by its number: opening, asking, waiting.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/files.h"
#include "os/loops.h"
#include "os/unique_fd.h"

namespace holdfast {

std::string LoopPath(int number);
// "/sys/block/loop3/queue/discard_max_bytes" for (3, "queue/discard_max_bytes").
std::string LoopSysfs(int number, const std::string& attribute);

// Numbers of the devices that have something attached, ascending.
absl::StatusOr<std::vector<int>> BackedLoops();

// What an open device says of itself; nullopt when nothing is attached.
absl::StatusOr<std::optional<Loop>> ReadLoop(const UniqueFd& device, int number);

// An fd of the device, if it still backs the image it did when `loop` was read; nullopt if not.
absl::StatusOr<std::optional<UniqueFd>> OpenLoop(const Loop& loop, Access access);

absl::StatusOr<bool> IsLoopAttached(const Loop& loop);
// Until it does not back that image any more: with openers left, anybody's, it is cleared when the
// last one closes. False: it still did after a second.
absl::StatusOr<bool> WaitUntilCleared(const Loop& loop);

// Takes away what LimitDirty did to that number, if it did.
absl::Status ForgetDirtyLimit(int number);

// LOOP_CTL_REMOVE. Best effort: a device in use by then is no longer ours to care for.
void RemoveLoopDevice(int number);

// Numbers of the devices that exist, ascending.
std::vector<int> LoopNumbers();
// Whether nothing is attached and the number keeps what was set on it before.
bool IsSpoilt(int number);

}  // namespace holdfast
