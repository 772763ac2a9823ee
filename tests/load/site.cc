#include "tests/load/site.h"

#include <filesystem>
#include <utility>

#include "fmt/format.h"
#include "volume/ids.h"

namespace holdfast::load {

Site::Site(std::array<PoolSite, kPools> pools, std::string kubelet, std::string node_id)
    : pools_(std::move(pools)), kubelet_(std::move(kubelet)), node_id_(std::move(node_id)) {
  for (int slot = 0; slot < kVolumeSlots; ++slot) {
    const auto at = static_cast<size_t>(slot);
    volume_names_[at] = fmt::format("load-volume-{:03}", slot);
    volume_ids_[at] = MakeId(ObjectKind::kVolume, PoolOf(slot).uuid, volume_names_[at]);
    slots_[volume_ids_[at]] = slot;
  }
  for (int slot = 0; slot < kSnapshotSlots; ++slot) {
    const auto at = static_cast<size_t>(slot);
    snapshot_names_[at] = fmt::format("load-snapshot-{:03}", slot);
    snapshot_ids_[at] = MakeId(ObjectKind::kSnapshot, PoolOf(slot).uuid, snapshot_names_[at]);
    slots_[snapshot_ids_[at]] = slot;
  }
}

int Site::SlotOf(const std::string& id) const {
  const auto found = slots_.find(id);
  return found == slots_.end() ? kNone : found->second;
}

std::string Site::StagingPath(int slot) const {
  return fmt::format("{}/staging/{}/globalmount", kubelet_, slot);
}

std::string Site::TargetPath(int slot, int pod) const {
  return fmt::format("{}/pods/{}/{}/mount", kubelet_, pod, slot);
}

void Site::MakeFolders() const {
  for (int slot = 0; slot < kVolumeSlots; ++slot) {
    std::filesystem::create_directories(StagingPath(slot));
    for (int pod = 0; pod < kPods; ++pod) {
      std::filesystem::create_directories(
          std::filesystem::path(TargetPath(slot, pod)).parent_path());
    }
  }
}

}  // namespace holdfast::load
