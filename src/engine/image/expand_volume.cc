// ImageEngine::ExpandVolume and its undo: the image grows here, its filesystem on the node.
#include "engine/image/expand_volume.h"

#include <algorithm>

#include <fmt/format.h>

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

// `failed`, after the image was given back the size that its row has.
absl::Status UndoneAfter(const absl::Status& failed, Pool& pool, const std::string& id) {
  const auto undo = [&]() -> absl::Status {
    // As it is now: a commit that reported an error may have been made.
    ASSIGN_OR_RETURN(const auto row, pool.catalog->FindVolume(id));
    return row ? UndoExpansion(pool, *row) : absl::OkStatus();
  };
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
    RETURN_IF_ERROR(pool.host.Resize(*image, volume.capacity_bytes));
    RETURN_IF_ERROR(pool.host.Sync(*image));
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
  const uint64_t growth = target - local.volume.capacity_bytes;
  const uint64_t more = NewVolumeBytes(local.volume.parameters, growth);
  Volume growing = local.volume, larger = local.volume;
  // An image that was longer without us is not ours to shorten, should this fail half-way.
  ASSIGN_OR_RETURN(const FileFacts facts, host_.Describe(image));
  const bool taken_as_it_is =
      facts.size_bytes > local.volume.capacity_bytes && local.volume.growing_to_bytes == 0;
  if (!taken_as_it_is) growing.growing_to_bytes = std::max(target, local.volume.growing_to_bytes);
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
  if (!grown.ok()) return UndoneAfter(grown, pool, local.volume.id);
  return larger;
}

}  // namespace holdfast
