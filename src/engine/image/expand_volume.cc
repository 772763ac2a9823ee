// ImageEngine::ExpandVolume: the image grows here, its filesystem on the node.
#include <fmt/format.h>

#include "base/refusal.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "engine/image/image_engine.h"
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

// The new part of the image, undone when it fails.
absl::Status GrowImage(Host& host, const UniqueFd& image, const Volume& volume, uint64_t target) {
  const auto grow = [&]() -> absl::Status {
    RETURN_IF_ERROR(host.Resize(image, target));
    if (volume.parameters.provisioning == Provisioning::kThick) {
      RETURN_IF_ERROR(
          host.Preallocate(image, volume.capacity_bytes, target - volume.capacity_bytes));
    }
    return host.Sync(image);
  };
  const absl::Status grown = grow();
  if (grown.ok()) return grown;
  const absl::Status undone = host.Resize(image, volume.capacity_bytes);
  if (undone.ok()) return grown;
  return absl::Status(grown.code(),
                      fmt::format("{}; and back to the old size: {}", std::string(grown.message()),
                                  std::string(undone.message())));
}

}  // namespace

absl::StatusOr<Volume> ImageEngine::ExpandVolume(std::string_view id, const CapacityRange& range) {
  const auto parsed = ParseId(id);
  if (!parsed) return NoSuchVolume(id);
  ASSIGN_OR_RETURN(const auto guard, locks_.TryLock(VolumeKey(parsed->name_hash)));
  ASSIGN_OR_RETURN(LocalVolume local, FindLocal(id));
  Pool& pool = *local.pool;
  ASSIGN_OR_RETURN(const uint64_t target, TargetCapacity(local.volume, range));
  if (target == local.volume.capacity_bytes) return local.volume;
  // An interrupted attempt may have left the file longer than the row says: ask only for the file.
  ASSIGN_OR_RETURN(
      const auto image,
      host_.OpenFile(pool.volumes, ImageName(local.volume.incarnation), Access::kReadWrite));
  if (!image) return OpenImage(local, Access::kReadWrite).status();
  ASSIGN_OR_RETURN(const FileFacts facts, host_.Describe(*image));
  if (facts.inode != local.volume.image_inode ||
      facts.generation != local.volume.image_generation ||
      facts.size_bytes < local.volume.capacity_bytes) {
    return OpenImage(local, Access::kReadWrite).status();  // says what it is not
  }
  const uint64_t growth = target - local.volume.capacity_bytes;
  const uint64_t more = NewVolumeBytes(local.volume.parameters, growth);
  absl::Status grown = Admit(pool, {.bound_bytes = more, .provisioned_bytes = growth}, [&] {
    // Allocated under the admission lock: there is no row yet that would count it.
    return GrowImage(host_, *image, local.volume, target);
  });
  if (absl::IsResourceExhausted(grown)) {
    // The resizer takes RESOURCE_EXHAUSTED for "still running" and would retry for ever.
    return absl::OutOfRangeError(grown.message());
  }
  RETURN_IF_ERROR(grown);
  local.volume.capacity_bytes = target;
  RETURN_IF_ERROR(pool.catalog->UpdateVolume(local.volume));
  return local.volume;
}

}  // namespace holdfast
