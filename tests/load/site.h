// Slots and what the driver calls them: names, ids, pools, paths.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "tests/load/state.h"

namespace holdfast::load {

inline constexpr int kVolumeSlots = 200;
inline constexpr int kSnapshotSlots = 60;
inline constexpr int kPods = 2;

// A quarter of all slots is in the btrfs pool, the rest in the XFS pool. Copies stay in their pool.
inline constexpr int kPools = 2;
inline constexpr int PoolOfSlot(int slot) { return slot % 4 == 3 ? 1 : 0; }

struct PoolSite {
  std::string name, uuid, path;
  uint64_t size_bytes = 0;
};

class Site {
 public:
  // `kubelet`: the folder below which the driver may mount.
  Site(std::array<PoolSite, kPools> pools, std::string kubelet, std::string node_id);

  const PoolSite& pool(int index) const { return pools_[static_cast<size_t>(index)]; }
  const PoolSite& PoolOf(int slot) const { return pool(PoolOfSlot(slot)); }
  const std::string& node_id() const { return node_id_; }
  const std::string& VolumeName(int slot) const { return volume_names_[static_cast<size_t>(slot)]; }
  const std::string& SnapshotName(int slot) const {
    return snapshot_names_[static_cast<size_t>(slot)];
  }
  const std::string& VolumeId(int slot) const { return volume_ids_[static_cast<size_t>(slot)]; }
  const std::string& SnapshotId(int slot) const { return snapshot_ids_[static_cast<size_t>(slot)]; }
  // kNone: no slot of ours has that id.
  int SlotOf(const std::string& id) const;
  std::string StagingPath(int slot) const;
  std::string TargetPath(int slot, int pod) const;
  // Folders that kubelet makes before it calls.
  void MakeFolders() const;

 private:
  const std::array<PoolSite, kPools> pools_;
  const std::string kubelet_, node_id_;
  std::array<std::string, kVolumeSlots> volume_names_, volume_ids_;
  std::array<std::string, kSnapshotSlots> snapshot_names_, snapshot_ids_;
  std::unordered_map<std::string, int> slots_;
};

}  // namespace holdfast::load
