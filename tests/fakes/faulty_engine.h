// A StorageEngine that forwards to another and fails the call that its FaultPlan names.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/storage_engine.h"
#include "tests/fakes/fault_plan.h"

namespace holdfast {

class FaultyEngine final : public StorageEngine {
 public:
  // `inner` must outlive it.
  explicit FaultyEngine(StorageEngine& inner) : inner_(inner) {}

  FaultPlan& plan() { return plan_; }

  // clang-format off
#define READING(result, method, parameters, arguments) \
  HOLDFAST_FAULTY_FORWARD(Reading, result, method, parameters, arguments)
#define MUTATING(result, method, parameters, arguments) \
  HOLDFAST_FAULTY_FORWARD(Mutating, result, method, parameters, arguments)

  MUTATING(absl::StatusOr<Volume>, CreateVolume, (const VolumeRequest& request), (request))
  MUTATING(absl::Status, DeleteVolume, (std::string_view id), (id))
  MUTATING(absl::StatusOr<Volume>, ExpandVolume, (std::string_view id, const CapacityRange& range), (id, range))
  READING(absl::StatusOr<std::optional<Volume>>, FindVolume, (std::string_view id), (id))
  READING(absl::StatusOr<std::vector<ListedVolume>>, ListVolumes, (std::string_view after, uint64_t limit), (after, limit))
  READING(absl::StatusOr<std::vector<RefusedVolume>>, RefusedVolumes, (), ())
  MUTATING(absl::StatusOr<Snapshot>, CreateSnapshot, (const std::string& name, std::string_view volume_id), (name, volume_id))
  MUTATING(absl::Status, DeleteSnapshot, (std::string_view id), (id))
  READING(absl::StatusOr<std::optional<Snapshot>>, FindSnapshot, (std::string_view id), (id))
  READING(absl::StatusOr<std::vector<Snapshot>>, ListSnapshots, (const SnapshotFilter& filter, std::string_view after, uint64_t limit), (filter, after, limit))
  std::vector<PoolStatus> Pools() override { return inner_.Pools(); }
  std::vector<PoolStatus> PoolsInBrief() override { return inner_.PoolsInBrief(); }
  READING(absl::StatusOr<CapacityAnswer>, GetCapacity, (const ClassParameters& parameters, std::optional<Content> content), (parameters, content))

#undef READING
#undef MUTATING
  // clang-format on

 private:
  StorageEngine& inner_;
  FaultPlan plan_;
};

}  // namespace holdfast
