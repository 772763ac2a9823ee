#include "volume/overcommit.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/refusal.h"
#include "base/sizes.h"

namespace holdfast {
namespace {

// The log of an XFS (64 MiB to 2 GiB), the journal of an ext4 (1 GiB at most).
constexpr uint64_t kLeastWritten = 64 * kMiB, kMostWritten = 2 * kGiB;
// While the kernel kept it, a stop of ext4 took 34 MiB at most in 46 tries, of XFS (no limit) 3
// MiB.
constexpr uint64_t kDirtyOfExt4 = 16 * kMiB;
constexpr uint64_t kReserveBase = 32 * kMiB;
constexpr uint64_t kReservePerVolume = 4 * kDirtyOfExt4;
// No device of a node takes writes faster; a look costs microseconds, so this may be generous.
constexpr uint64_t kFastestDiskBytesPerMillisecond = 4 * kMiB;
// The longest is for what no disk does: a large file of another program takes its space at once.
constexpr std::chrono::milliseconds kShortestWait{2}, kLongestWait{50};

absl::Status Refuse(const std::string& expected, const std::string& found,
                    const std::string& remedy) {
  return absl::FailedPreconditionError(
      Refusal{"class parameter reserve", expected, found, remedy}.Sentence());
}

}  // namespace

bool CanBeStopped(Content content) { return content == Content::kExt4 || content == Content::kXfs; }

absl::Status CheckOvercommit(const ClassParameters& parameters, Content content,
                             const std::string& pool_name, bool pool_overcommits) {
  if (parameters.reserve_percent >= 100) return absl::OkStatus();
  const std::string found = fmt::format("{}", parameters.reserve_percent);
  if (!pool_overcommits) {
    return Refuse(fmt::format("100, because pool {} is not overcommitted", pool_name), found,
                  "use another pool, or stop the driver and run 'holdfastctl pool set --overcommit "
                  "on' on this one");
  }
  if (content == Content::kBtrfs) {
    return Refuse("100 for btrfs, which cannot be stopped before a full pool loses its data", found,
                  "use ext4 or xfs, or reserve 100");
  }
  if (content == Content::kBlock && !parameters.accepts_lost_writes) {
    return Refuse("100 for raw block, which cannot be stopped before a full pool loses its data",
                  found,
                  "use reserve 100, or accept the loss in the StorageClass with "
                  "rawBlockOvercommit: acknowledged-writes-may-be-lost");
  }
  return absl::OkStatus();
}

uint64_t BytesToMake(const ClassParameters& parameters, Content content, uint64_t capacity_bytes) {
  if (parameters.provisioning == Provisioning::kThick) return capacity_bytes;
  const uint64_t owed = OwedBytes({.hole_bytes = capacity_bytes}, parameters.reserve_percent);
  if (content == Content::kBlock) return owed;
  const uint64_t written = std::clamp(capacity_bytes / 16, kLeastWritten, kMostWritten);
  return std::max(owed, std::min(written, capacity_bytes));
}

uint64_t LargestNewVolume(PoolSpace space, PoolFilesystem filesystem,
                          const ClassParameters& parameters) {
  const bool thin = parameters.provisioning == Provisioning::kThin;
  if (!thin || parameters.reserve_percent >= 100) return LargestNewVolume(space, filesystem);
  space.free_bytes = SaturatingSubtract(space.free_bytes, kLeastWritten);
  constexpr uint32_t kSixteenthInPercent = 7;
  return LargestNewVolume(space, filesystem,
                          std::max(parameters.reserve_percent, kSixteenthInPercent));
}

bool CanStillAllocate(const Volume& volume, uint64_t allocated_bytes) {
  return volume.shares_blocks || allocated_bytes < volume.capacity_bytes;
}

bool IsFlushedWhenStopped(Content content) { return content == Content::kExt4; }

uint64_t DirtyLimitBytes(Content content) {
  return IsFlushedWhenStopped(content) ? kDirtyOfExt4 : 0;
}

uint64_t StopReserveBytes(uint64_t pool_bytes, const std::vector<Volume>& volumes) {
  uint64_t bytes = kReserveBase + kReservePerVolume;  // one more that is just being made
  for (const Volume& volume : volumes) {
    if (IsOvercommitted(volume)) bytes += std::min(kReservePerVolume, volume.capacity_bytes);
  }
  return std::min(bytes, pool_bytes / 8);
}

uint64_t BallastBytes(uint64_t pool_bytes) {
  return std::clamp(pool_bytes / 64, 8 * kMiB, 256 * kMiB);
}

uint64_t CatalogBallastBytes() { return 4 * kMiB; }

Watermark JudgeFree(uint64_t free_bytes, uint64_t dirty_bytes, const StopLine& line) {
  if (free_bytes < line.last()) return Watermark::kLast;
  const uint64_t left = SaturatingSubtract(free_bytes, dirty_bytes);
  if (left < line.stop()) return Watermark::kStop;
  return left < line.low() ? Watermark::kLow : Watermark::kPlenty;
}

const char* WatermarkName(Watermark mark) {
  switch (mark) {
    case Watermark::kPlenty:
      return "ok";
    case Watermark::kLow:
      return "low";
    case Watermark::kStop:
      return "stop";
    case Watermark::kLast:
      return "last";
  }
  return "?";
}

std::chrono::milliseconds NextLook(uint64_t free_bytes, uint64_t stop_bytes) {
  const uint64_t away = SaturatingSubtract(free_bytes, stop_bytes);
  const auto wait = std::chrono::milliseconds(
      std::min<uint64_t>(away / kFastestDiskBytesPerMillisecond, kLongestWait.count()));
  return std::max(wait, kShortestWait);
}

absl::Status CheckRoomToRun(const Volume& volume, uint64_t free_bytes, const StopLine& line,
                            const std::string& pool_name) {
  const uint64_t more = std::min(line.reserve_bytes, volume.capacity_bytes);
  const uint64_t needed =
      IsOvercommitted(volume) ? line.stop() + more : line.protected_bytes + line.last();
  if (free_bytes >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(fmt::format(
      "volume {}: expected {} free in the overcommitted pool {} before it may run ({} owed to "
      "volumes with a full reserve, a floor of {}, {} to stop volumes in time), found {} free; "
      "delete volumes or snapshots, purge the trash, or grow the pool",
      volume.id, FormatBytes(needed), pool_name, FormatBytes(line.protected_bytes),
      FormatBytes(line.floor_bytes), FormatBytes(line.reserve_bytes), FormatBytes(free_bytes)));
}

}  // namespace holdfast
