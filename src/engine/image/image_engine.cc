// Opening the engine, and the questions that change nothing.
#include "engine/image/image_engine.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/refusal.h"
#include "base/status_macros.h"
#include "engine/image/ballast.h"
#include "engine/image/frozen_filesystem.h"
#include "engine/image/image_files.h"
#include "engine/image/recovery.h"
#include "engine/image/trash.h"

namespace holdfast {
namespace {

absl::StatusOr<std::unique_ptr<Catalog>> OpenCatalogFile(const std::string& path) {
  return OpenCatalog(path, Catalog::Access::kReadWrite);
}

template <typename Object>
void KeepPage(std::vector<Object>& objects, uint64_t limit) {
  const auto by_id = [](const Object& a, const Object& b) { return a.id < b.id; };
  // Those of one pool come in order.
  if (!std::is_sorted(objects.begin(), objects.end(), by_id)) {
    std::sort(objects.begin(), objects.end(), by_id);
  }
  if (limit != 0 && objects.size() > limit) objects.resize(limit);
}

// Two pools that can both be served. Each promises all the space of its filesystem.
absl::Status CheckApart(const Pool& pool, const Pool& other) {
  if (other.name() == pool.name() || other.uuid() == pool.uuid()) {
    return absl::FailedPreconditionError(Refusal{"pool " + pool.path, "a name and UUID of its own",
                                                 "those of " + other.path,
                                                 "serve only one of them on this node"}
                                             .Sentence());
  }
  ASSIGN_OR_RETURN(const FolderFilesystem ours, pool.host.DescribeFilesystem(pool.root));
  ASSIGN_OR_RETURN(const FolderFilesystem others, pool.host.DescribeFilesystem(other.root));
  if (ours.id != others.id) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Refusal{"filesystem of pool " + pool.path, "one of its own",
              "that of pool " + other.name() + " in " + other.path,
              "serve only one of them on this node: both would promise the same space"}
          .Sentence());
}

}  // namespace

std::string VolumeKey(std::string_view name_hash) { return fmt::format("volume {}", name_hash); }
std::string SnapshotKey(std::string_view name_hash) {
  return fmt::format("snapshot {}", name_hash);
}

absl::Status NoSuchVolume(std::string_view id) {
  return absl::NotFoundError(Refusal{"volume", "the id of a volume of this node's pools",
                                     fmt::format("'{}'", id.substr(0, 128)),
                                     "list them with 'holdfastctl volume list'"}
                                 .Sentence());
}

ImageEngine::ImageEngine(Host& host, const Clock& clock, const ImageEngineOptions& options)
    : host_(host), clock_(clock), options_(options) {}

ImageEngine::~ImageEngine() = default;

std::unique_ptr<ImageEngine> ImageEngine::Open(Host& host, const Clock& clock,
                                               const ImageEngineOptions& options,
                                               CatalogOpener open_catalog) {
  std::unique_ptr<ImageEngine> engine(new ImageEngine(host, clock, options));
  if (!open_catalog) open_catalog = OpenCatalogFile;
  const absl::Status thawed = ThawLeftovers(host);
  for (const std::string& path : options.pool_paths) {
    const auto open = [&]() -> absl::Status {
      // A volume that may still be frozen is not to be served: its pool waits for it.
      RETURN_IF_ERROR(thawed);
      ASSIGN_OR_RETURN(auto pool, OpenPool(host, path, open_catalog));
      for (const auto& other : engine->pools_) RETURN_IF_ERROR(CheckApart(*pool, *other));
      RETURN_IF_ERROR(RecoverPool(*pool, engine->trash_policy()));
      engine->pools_.push_back(std::move(pool));
      return absl::OkStatus();
    };
    const absl::Status opened = open();
    if (!opened.ok()) engine->refused_.push_back({path, std::string(opened.message())});
  }
  std::sort(engine->pools_.begin(), engine->pools_.end(),
            [](const auto& a, const auto& b) { return a->uuid() < b->uuid(); });
  std::vector<Pool*> pools;
  for (const auto& pool : engine->pools_) pools.push_back(pool.get());
  engine->fail_stop_ = std::make_unique<FailStop>(host, clock, pools);
  return engine;
}

absl::Status ImageEngine::Close() {
  for (const auto& pool : pools_) RETURN_IF_ERROR(pool->catalog->Checkpoint());
  return absl::OkStatus();
}

std::unique_ptr<FailStopThreads> ImageEngine::WatchPools(FailStop::Tell tell) {
  if (fail_stop_->idle()) return nullptr;
  return std::make_unique<FailStopThreads>(*fail_stop_, std::move(tell));
}

absl::Status ImageEngine::PurgeExpiredTrash() {
  for (const auto& pool : pools_) {
    RETURN_IF_ERROR(WithCatalogRoom(
        *pool, [&] { return PurgeExpired(*pool, clock_.UnixNanos(), options_.trash_grace); }));
    RETURN_IF_ERROR(WithCatalogRoom(*pool, [&] { return DropAbandonedCopies(*pool); }));
  }
  return absl::OkStatus();
}

absl::StatusOr<Pool*> ImageEngine::PoolOf(const ParsedId& id) const {
  for (const auto& pool : pools_) {
    if (pool->uuid() == id.pool_uuid) return pool.get();
  }
  if (refused_.empty()) return nullptr;
  return absl::UnavailableError(
      fmt::format("pool {} is not open here; it may be the one that is refused: {}", id.pool_uuid,
                  refused_.front().sentence));
}

absl::StatusOr<std::vector<Pool*>> ImageEngine::CandidatePools(const std::string& name) const {
  std::vector<std::pair<uint64_t, Pool*>> found;
  for (const auto& pool : pools_) {
    if (!name.empty() && pool->name() != name) continue;
    ASSIGN_OR_RETURN(const FolderFilesystem filesystem, host_.DescribeFilesystem(pool->root));
    found.emplace_back(filesystem.free_bytes, pool.get());
  }
  if (found.empty()) {
    std::string known;
    for (const auto& pool : pools_) known += (known.empty() ? "" : ", ") + pool->name();
    // Its name is in its catalog, which nobody could read.
    if (!refused_.empty() && !known.empty()) {
      return absl::UnavailableError(fmt::format(
          "class parameter pool: expected one that is served here ({}), found {}; it may "
          "be the one that was refused: {}",
          known, name, refused_.front().sentence));
    }
    if (!refused_.empty()) return absl::UnavailableError(refused_.front().sentence);
    return absl::InvalidArgumentError(
        Refusal{"class parameter pool", known.empty() ? "none: no pool is served here" : known,
                name, "correct the StorageClass, or serve that pool on this node"}
            .Sentence());
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Pool*> pools;
  for (const auto& [free_bytes, pool] : found) pools.push_back(pool);
  return pools;
}

absl::StatusOr<std::optional<ImageEngine::LocalVolume>> ImageEngine::FindVolumeByName(
    const std::string& name) {
  for (const auto& pool : pools_) {
    ASSIGN_OR_RETURN(auto volume,
                     pool->catalog->FindVolume(MakeId(ObjectKind::kVolume, pool->uuid(), name)));
    if (volume) return LocalVolume{pool.get(), *std::move(volume)};
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<ImageEngine::LocalSnapshot>> ImageEngine::FindSnapshotByName(
    const std::string& name) {
  for (const auto& pool : pools_) {
    ASSIGN_OR_RETURN(auto snapshot, pool->catalog->FindSnapshot(
                                        MakeId(ObjectKind::kSnapshot, pool->uuid(), name)));
    if (snapshot) return LocalSnapshot{pool.get(), *std::move(snapshot)};
  }
  return std::nullopt;
}

absl::StatusOr<ImageEngine::LocalVolume> ImageEngine::FindLocal(std::string_view id) {
  const auto parsed = ParseId(id);
  if (!parsed || parsed->kind != ObjectKind::kVolume) return NoSuchVolume(id);
  ASSIGN_OR_RETURN(Pool* const pool, PoolOf(*parsed));
  if (pool == nullptr) return NoSuchVolume(id);
  ASSIGN_OR_RETURN(auto volume, pool->catalog->FindVolume(id));
  if (!volume || volume->state != ObjectState::kReady) return NoSuchVolume(id);
  return LocalVolume{pool, *std::move(volume)};
}

absl::StatusOr<ImageEngine::LocalSnapshot> ImageEngine::FindLocalSnapshot(std::string_view id) {
  const auto parsed = ParseId(id);
  if (parsed && parsed->kind == ObjectKind::kSnapshot) {
    ASSIGN_OR_RETURN(Pool* const pool, PoolOf(*parsed));
    if (pool != nullptr) {
      ASSIGN_OR_RETURN(auto snapshot, pool->catalog->FindSnapshot(id));
      if (snapshot && snapshot->state == ObjectState::kReady) {
        return LocalSnapshot{pool, *std::move(snapshot)};
      }
    }
  }
  return absl::NotFoundError(Refusal{"snapshot", "the id of a snapshot of this node's pools",
                                     fmt::format("'{}'", id.substr(0, 128)),
                                     "list them with 'holdfastctl snapshot list'"}
                                 .Sentence());
}

absl::StatusOr<UniqueFd> ImageEngine::OpenImage(const LocalVolume& local, Access access) {
  const Volume& volume = local.volume;
  const std::string name = ImageName(volume.incarnation);
  ASSIGN_OR_RETURN(auto image, host_.OpenFile(local.pool->volumes, name, access));
  if (!image) {
    return absl::DataLossError(
        Refusal{"image of " + volume.id, "volumes/" + name, "nothing", "restore it from a snapshot"}
            .Sentence());
  }
  ASSIGN_OR_RETURN(const FileFacts facts, host_.Describe(*image));
  if (IsImageOf(volume, facts) && facts.size_bytes == volume.capacity_bytes) {
    return *std::move(image);
  }
  return absl::FailedPreconditionError(
      Refusal{"image of " + volume.id,
              fmt::format("inode {} generation {} of {} bytes", volume.image_inode,
                          volume.image_generation, volume.capacity_bytes),
              fmt::format("inode {} generation {} of {} bytes", facts.inode, facts.generation,
                          facts.size_bytes),
              RemedyFor(volume, facts)}
          .Sentence());
}

absl::Status ImageEngine::GrowFilesystem(const LocalVolume& local, const UniqueFd& image) {
  const Volume& volume = local.volume;
  return GrowImageFilesystem(host_, image, volume.content,
                             GivesBack(volume.parameters.provisioning, local.pool->filesystem));
}

absl::StatusOr<std::optional<Volume>> ImageEngine::FindVolume(std::string_view id) {
  auto local = FindLocal(id);
  if (local.ok()) return std::move(local->volume);
  if (absl::IsNotFound(local.status())) return std::nullopt;
  return local.status();
}

absl::StatusOr<std::optional<Snapshot>> ImageEngine::FindSnapshot(std::string_view id) {
  auto local = FindLocalSnapshot(id);
  if (local.ok()) return std::move(local->snapshot);
  if (absl::IsNotFound(local.status())) return std::nullopt;
  return local.status();
}

absl::StatusOr<std::vector<ListedVolume>> ImageEngine::ListVolumes(std::string_view after,
                                                                   uint64_t limit) {
  std::vector<ListedVolume> all;
  for (const auto& pool : pools_) {
    ASSIGN_OR_RETURN(auto page, pool->catalog->ListVolumes(after, limit));
    if (all.empty()) {
      all = std::move(page);
    } else {
      std::move(page.begin(), page.end(), std::back_inserter(all));
    }
  }
  KeepPage(all, limit);
  return all;
}

absl::StatusOr<std::vector<RefusedVolume>> ImageEngine::RefusedVolumes() {
  std::vector<RefusedVolume> refused;
  for (const auto& pool : pools_) {
    ASSIGN_OR_RETURN(const auto volumes, pool->catalog->AllVolumes());
    for (const Volume& volume : volumes) {
      if (volume.state != ObjectState::kReady || !volume.stage.verdict) continue;
      refused.push_back({volume.id, volume.labels, volume.stage.verdict->sentence});
    }
  }
  KeepPage(refused, /*limit=*/0);
  return refused;
}

absl::StatusOr<std::vector<Snapshot>> ImageEngine::ListSnapshots(const SnapshotFilter& filter,
                                                                 std::string_view after,
                                                                 uint64_t limit) {
  std::vector<Snapshot> all;
  for (const auto& pool : pools_) {
    ASSIGN_OR_RETURN(auto page, pool->catalog->ListSnapshots(filter, after, limit));
    std::move(page.begin(), page.end(), std::back_inserter(all));
  }
  KeepPage(all, limit);
  return all;
}

std::vector<PoolStatus> ImageEngine::Pools() { return DescribeEach(&DescribePool); }

std::vector<PoolStatus> ImageEngine::PoolsInBrief() { return DescribeEach(&DescribeInBrief); }

std::vector<PoolStatus> ImageEngine::DescribeEach(
    absl::StatusOr<PoolStatus> (*describe)(const Pool&)) {
  std::vector<PoolStatus> result;
  for (const auto& pool : pools_) {
    auto status = describe(*pool);
    if (status.ok()) status->stops = fail_stop_->StopCount(*pool);
    result.push_back(status.ok() ? *std::move(status)
                                 : PoolStatus{.name = pool->name(),
                                              .uuid = pool->uuid(),
                                              .path = pool->path,
                                              .refusal = std::string(status.status().message())});
  }
  for (const RefusedPool& refused : refused_) {
    result.push_back({.path = refused.path, .refusal = refused.sentence});
  }
  return result;
}

absl::StatusOr<CapacityAnswer> ImageEngine::GetCapacity(const ClassParameters& parameters,
                                                        std::optional<Content> content) {
  ASSIGN_OR_RETURN(const auto pools, CandidatePools(parameters.pool));
  CapacityAnswer answer{.minimum_volume_bytes =
                            MinimumCapacityBytes(content.value_or(Content::kExt4))};
  absl::Status promises_nothing;
  for (const Pool* pool : pools) {
    if (!CheckOvercommit(parameters, content.value_or(Content::kExt4), pool->name(),
                         pool->catalog->identity().overcommit)
             .ok()) {
      continue;
    }
    auto space = MeasureSpace(*pool, Precision::kExact);
    if (absl::IsFailedPrecondition(space.status())) {
      promises_nothing = space.status();
      continue;
    }
    RETURN_IF_ERROR(space.status());
    // A create that would not fit otherwise purges the trash.
    space->free_bytes += GainOfPurge(space->trash_bytes);
    const uint64_t largest = LargestNewVolume(*space, pool->filesystem, parameters);
    if (largest < answer.minimum_volume_bytes) continue;
    answer.available_bytes += largest;
    answer.maximum_volume_bytes =
        std::min(std::max(answer.maximum_volume_bytes, largest), kMaximumCapacityBytes);
  }
  if (answer.available_bytes == 0) RETURN_IF_ERROR(promises_nothing);
  return answer;
}

}  // namespace holdfast
