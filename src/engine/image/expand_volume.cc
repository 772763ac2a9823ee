// ImageEngine::ExpandVolume and its undo: the image grows here, its filesystem on the node.
#include "engine/image/expand_volume.h"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "base/log.h"
#include "base/refusal.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "engine/image/image_engine.h"
#include "engine/image/image_files.h"
#include "engine/image/space_meter.h"

namespace holdfast {
namespace {

absl::StatusOr<uint64_t> TargetCapacity(const Volume& volume, const CapacityRange& range) {
  const uint64_t present = volume.capacity_bytes;
  if (range.limit_bytes != 0 && range.limit_bytes < present) {
    return absl::OutOfRangeError(Refusal{"limit for " + volume.id,
                                         fmt::format("at least its size, {} bytes", present),
                                         fmt::format("{} bytes", range.limit_bytes),
                                         "a volume is never shrunk; ask for its size or more"}
                                     .Sentence());
  }
  if (range.required_bytes <= present) return present;
  return ChooseCapacity(range, volume.content);
}

absl::Status GrowImage(Host& host, const UniqueFd& image, const Volume& volume, uint64_t target) {
  RETURN_IF_ERROR(host.Resize(image, target));
  if (volume.parameters.provisioning == Provisioning::kThick) {
    RETURN_IF_ERROR(host.Preallocate(image, volume.capacity_bytes, target - volume.capacity_bytes));
  }
  return host.Sync(image);
}

// Of the space from `begin` to `end` what the image has already, all of its own.
absl::StatusOr<uint64_t> AllocatedBytes(Host& host, const UniqueFd& image, uint64_t begin,
                                        uint64_t end) {
  ASSIGN_OR_RETURN(const auto extents, host.Extents(image));
  uint64_t bytes = 0;
  for (const Extent& extent : extents) {
    const uint64_t from = std::max(begin, extent.logical);
    const uint64_t to = std::min(end, extent.logical + extent.length);
    if (to > from && !extent.shared) bytes += to - from;
  }
  return bytes;
}

// Our growth makes an image longer and preallocates; it writes no data there. Data, or a filesystem
// that counts on the space, is somebody's.
absl::StatusOr<bool> IsEmptyBehind(Host& host, const UniqueFd& image, const Volume& volume,
                                   uint64_t bytes) {
  ASSIGN_OR_RETURN(const auto extents, host.Extents(image));
  const bool data = std::any_of(extents.begin(), extents.end(), [&](const Extent& extent) {
    return !extent.unwritten && extent.logical + extent.length > bytes;
  });
  if (data || volume.content == Content::kBlock) return !data;
  const auto superblock = host.Identify(image);
  return superblock.ok() && superblock->has_value() && (*superblock)->size_bytes <= bytes;
}

// Does nothing where there is anything behind `bytes` that is not ours.
absl::Status Shorten(Host& host, const UniqueFd& image, const Volume& volume, uint64_t bytes) {
  ASSIGN_OR_RETURN(const bool empty, IsEmptyBehind(host, image, volume, bytes));
  if (!empty) {
    spdlog::warn("image of volume {}: data behind its {} bytes is left alone", volume.id, bytes);
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(host.Resize(image, bytes));
  return host.Sync(image);
}

// `failed`, after `undo`.
absl::Status UndoneAfter(const absl::Status& failed, const std::function<absl::Status()>& undo) {
  const absl::Status undone = undo();
  if (undone.ok()) return failed;
  return absl::Status(failed.code(),
                      fmt::format("{}; and back to the old size: {}", std::string(failed.message()),
                                  std::string(undone.message())));
}

}  // namespace

absl::Status UndoExpansion(Pool& pool, Volume volume) {
  if (volume.growing_to_bytes == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto image, pool.host.OpenFile(pool.volumes, ImageName(volume.incarnation),
                                                        Access::kReadWrite));
  if (!image) return absl::OkStatus();  // said when somebody asks for the volume
  ASSIGN_OR_RETURN(const FileFacts facts, pool.host.Describe(*image));
  // Somebody's file in the image's place is refused at its use, and not ours to shorten.
  if (!IsImageOf(volume, facts)) return absl::OkStatus();
  if (facts.size_bytes > volume.growing_to_bytes) return absl::OkStatus();
  if (facts.size_bytes > volume.capacity_bytes) {
    ASSIGN_OR_RETURN(const auto loops, pool.host.Attachments(facts));
    const bool in_use = std::any_of(loops.begin(), loops.end(), [&](const Loop& loop) {
      return loop.size_bytes > volume.capacity_bytes;
    });
    if (in_use) return absl::OkStatus();  // what is behind the row's end may be somebody's data
    RETURN_IF_ERROR(Shorten(pool.host, *image, volume, volume.capacity_bytes));
  }
  volume.growing_to_bytes = 0;
  return pool.catalog->UpdateVolume(volume);
}

absl::StatusOr<UniqueFd> ImageEngine::OpenImageToGrow(const LocalVolume& local, uint64_t target) {
  const Volume& volume = local.volume;
  ASSIGN_OR_RETURN(auto image, host_.OpenFile(local.pool->volumes, ImageName(volume.incarnation),
                                              Access::kReadWrite));
  if (!image) return OpenImage(local, Access::kReadWrite);
  ASSIGN_OR_RETURN(const FileFacts facts, host_.Describe(*image));
  // An interrupted attempt may have left it longer than the row says; and what somebody else made
  // longer can be taken as it is, but never made shorter.
  const uint64_t longest = std::max({volume.capacity_bytes, volume.growing_to_bytes, target});
  const bool fits = facts.size_bytes >= volume.capacity_bytes && facts.size_bytes <= longest;
  if (!IsImageOf(volume, facts) || !fits) return OpenImage(local, Access::kReadWrite);  // says why
  return *std::move(image);
}

absl::StatusOr<Volume> ImageEngine::ExpandVolume(std::string_view id, const CapacityRange& range) {
  const auto parsed = ParseId(id);
  if (!parsed) return NoSuchVolume(id);
  ASSIGN_OR_RETURN(const auto guard, locks_.TryLock(VolumeKey(parsed->name_hash)));
  ASSIGN_OR_RETURN(LocalVolume local, FindLocal(id));
  Pool& pool = *local.pool;
  ASSIGN_OR_RETURN(const uint64_t target, TargetCapacity(local.volume, range));
  if (target == local.volume.capacity_bytes) return local.volume;
  ASSIGN_OR_RETURN(const UniqueFd image, OpenImageToGrow(local, target));
  const uint64_t capacity = local.volume.capacity_bytes, growth = target - capacity;
  Volume growing = local.volume, larger = local.volume;
  ASSIGN_OR_RETURN(const FileFacts facts, host_.Describe(image));
  // Longer than we ever made it: not ours to shorten, should this fail half-way.
  const bool taken_as_it_is = facts.size_bytes > std::max(capacity, local.volume.growing_to_bytes);
  if (!taken_as_it_is) growing.growing_to_bytes = std::max(target, local.volume.growing_to_bytes);
  uint64_t there = 0;  // already, where it is longer
  if (facts.size_bytes > capacity) {
    ASSIGN_OR_RETURN(there, AllocatedBytes(host_, image, capacity, target));
  }
  const uint64_t more = NewVolumeBytes(local.volume.parameters, growth - std::min(there, growth));
  larger.capacity_bytes = target;
  larger.growing_to_bytes = 0;
  // All of it under the admission lock: until its row counts it, nobody else may be admitted.
  const auto grow = [&]() -> absl::Status {
    RETURN_IF_ERROR(pool.catalog->UpdateVolume(growing));
    RETURN_IF_ERROR(GrowImage(host_, image, local.volume, target));
    return pool.catalog->UpdateVolume(larger);
  };
  absl::Status grown = Admit(pool, {.bound_bytes = more, .provisioned_bytes = growth}, grow);
  // The resizer takes RESOURCE_EXHAUSTED for "still running" and would retry for ever.
  if (absl::IsResourceExhausted(grown)) grown = absl::OutOfRangeError(grown.message());
  if (grown.ok()) return larger;
  return UndoneAfter(grown, [&]() -> absl::Status {
    // As it is now: a commit that reported an error may have been made.
    ASSIGN_OR_RETURN(const auto row, pool.catalog->FindVolume(id));
    if (!row) return absl::OkStatus();
    if (!taken_as_it_is) return UndoExpansion(pool, *row);
    if (row->capacity_bytes == target) return absl::OkStatus();
    return Shorten(host_, image, *row, facts.size_bytes);
  });
}

}  // namespace holdfast
