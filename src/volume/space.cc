#include "volume/space.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/sizes.h"

namespace holdfast {
namespace {

// The share of provisioned bytes that a pool's filesystem may need as metadata: one in `divisor`.
// docs/pools.md derives and measures both: XFS 0.50 % measured, 0.81 % at worst; btrfs 8.4 %.
constexpr uint64_t SlopeDivisor(PoolFilesystem filesystem) {
  return filesystem == PoolFilesystem::kXfs ? 100 : 8;
}

// What is kept back whatever the volumes: XFS the catalog, its log and what transactions reserve
// while they run; btrfs the same and the last chunk of data and of metadata, allocated whole.
uint64_t ConstantBytes(PoolFilesystem filesystem, uint64_t size_bytes) {
  if (filesystem == PoolFilesystem::kXfs) {
    return std::clamp(size_bytes / 100, 32 * kMiB, kGiB);
  }
  return std::clamp(size_bytes / 100 * 15, 128 * kMiB, 3 * kGiB);
}

// The part of the floor that must be there as metadata; only btrfs tells the two apart.
uint64_t MetadataFloorBytes(const PoolSpace& space) {
  return SaturatingSubtract(space.floor_bytes,
                            ConstantBytes(PoolFilesystem::kBtrfs, space.size_bytes));
}

}  // namespace

uint64_t OwedBytes(const ImageUsage& usage, uint32_t reserve_percent) {
  const uint64_t allocatable = usage.hole_bytes + usage.shared_bytes;
  // Split so that no size overflows; rounded up, never down.
  return allocatable / 100 * reserve_percent + (allocatable % 100 * reserve_percent + 99) / 100;
}

uint64_t OwedUpperBound(const Volume& volume) {
  const bool nothing_to_allocate = volume.state == ObjectState::kReady &&
                                   volume.parameters.provisioning == Provisioning::kThick &&
                                   !volume.shares_blocks;
  if (nothing_to_allocate) return 0;
  return OwedBytes({.hole_bytes = volume.capacity_bytes}, volume.parameters.reserve_percent);
}

bool GivesBack(Provisioning provisioning, PoolFilesystem filesystem) {
  return provisioning == Provisioning::kThin && filesystem == PoolFilesystem::kXfs;
}

uint64_t FloorBytes(PoolFilesystem filesystem, uint64_t size_bytes, uint64_t provisioned_bytes) {
  return ConstantBytes(filesystem, size_bytes) + provisioned_bytes / SlopeDivisor(filesystem);
}

uint64_t CloneMetadataBytes(PoolFilesystem filesystem, uint64_t extents) {
  return extents * (filesystem == PoolFilesystem::kXfs ? 36 : 432);
}

uint64_t GainOfPurge(uint64_t trash_bytes) {
  return SaturatingSubtract(trash_bytes, kMiB + trash_bytes / 1000);
}

uint64_t LargestNewVolume(const PoolSpace& space, PoolFilesystem filesystem,
                          uint32_t owed_percent) {
  const uint64_t divisor = SlopeDivisor(filesystem);
  const uint64_t room = SaturatingSubtract(
      space.free_bytes, space.owed_bytes + space.floor_bytes + space.stop_reserve_bytes);
  // V * percent / 100 + V / divisor + 2 <= room; the 2 is what OwedBytes and FloorBytes may round
  // up by. No pool comes near the size at which a hundred times its room overflows.
  const uint64_t rounding = owed_percent == 100 ? 1 : 2;
  const uint64_t steps = SaturatingSubtract(room, rounding) * 100 / (divisor * owed_percent + 100);
  // V / divisor + 1 <= what metadata can still get beyond what is kept for it now.
  const uint64_t metadata_room =
      SaturatingSubtract(space.metadata_free_bytes, MetadataFloorBytes(space));
  const uint64_t largest = std::min(steps, SaturatingSubtract(metadata_room, 1)) * divisor;
  return largest / kBlockBytes * kBlockBytes;
}

absl::Status CheckFits(const PoolSpace& space, uint64_t more_bytes, const std::string& pool_name) {
  const uint64_t needed =
      space.owed_bytes + space.floor_bytes + space.stop_reserve_bytes + more_bytes;
  if (space.free_bytes < needed) {
    const std::string to_stop =
        space.stop_reserve_bytes == 0
            ? ""
            : fmt::format(" and {} to stop volumes in time", FormatBytes(space.stop_reserve_bytes));
    return absl::ResourceExhaustedError(fmt::format(
        "pool {}: expected {} free for {} more on top of {} owed and a floor of {}{}, found {} "
        "free; delete volumes or snapshots, purge the trash ({}), or grow the pool",
        pool_name, FormatBytes(needed), FormatBytes(more_bytes), FormatBytes(space.owed_bytes),
        FormatBytes(space.floor_bytes), to_stop, FormatBytes(space.free_bytes),
        FormatBytes(space.trash_bytes)));
  }
  const uint64_t metadata_floor = MetadataFloorBytes(space);
  if (space.metadata_free_bytes < metadata_floor) {
    return absl::ResourceExhaustedError(
        fmt::format("pool {}: expected {} for btrfs metadata, found {} (of {} free, {} owed, a "
                    "floor of {}, the "
                    "rest is in chunks for data); run 'btrfs balance start -dusage=80' on the pool",
                    pool_name, FormatBytes(metadata_floor), FormatBytes(space.metadata_free_bytes),
                    FormatBytes(space.free_bytes), FormatBytes(space.owed_bytes),
                    FormatBytes(space.floor_bytes)));
  }
  return absl::OkStatus();
}

}  // namespace holdfast
