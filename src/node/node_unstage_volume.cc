#include <chrono>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "base/refusal.h"
#include "base/status_macros.h"
#include "engine/image/private_mount.h"
#include "integrity/identity_check.h"
#include "integrity/verdict.h"
#include "node/capability_check.h"
#include "node/node_service.h"
#include "rpc/parse.h"

namespace holdfast {
namespace {

// By more than a look: mkfs.btrfs, of another volume's create, and udev open every device.
absl::StatusOr<bool> StaysHeld(Host& host, const Loop& loop) {
  constexpr std::chrono::milliseconds kLongestPause{160};
  for (std::chrono::milliseconds pause{5};; pause *= 2) {
    ASSIGN_OR_RETURN(const auto holders, host.HoldersOf(loop));
    if (holders.empty()) return false;
    if (pause > kLongestPause) return true;
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace

absl::Status NodeService::Handle(const csi::v1::NodeUnstageVolumeRequest& request,
                                 csi::v1::NodeUnstageVolumeResponse&) {
  // Parse.
  ASSIGN_OR_RETURN(const std::string volume_id, RequireId("volume_id", request.volume_id()));
  ASSIGN_OR_RETURN(std::string staging,
                   RequirePath("staging_target_path", request.staging_target_path()));
  // Lock.
  ASSIGN_OR_RETURN(const auto guard, Lock(volume_id));
  // Ask the catalog and the kernel what is already so.
  auto found = engine_.FindLocal(volume_id);
  if (absl::IsNotFound(found.status())) return CheckNothingAt(staging, found.status());
  RETURN_IF_ERROR(found.status());
  LocalVolume& local = *found;
  ASSIGN_OR_RETURN(staging, host_.ResolveTarget(staging));
  ASSIGN_OR_RETURN(const Presence presence, Ask(local));
  if (!presence.loop) return RecordUnseenEnd(local);
  if (const MountEntry* published = presence.MountElsewhere(staging, staging)) {
    return absl::FailedPreconditionError(Refusal{"unstage of volume " + local.volume.id,
                                                 "no target left", "one at " + published->target,
                                                 "unpublish it first"}
                                             .Sentence());
  }
  if (local.volume.content != Content::kBlock) return UnstageFilesystem(local, staging, presence);
  // Do and commit: a raw block device holds no root to record.
  RETURN_IF_ERROR(host_.Detach(*presence.loop));
  return RecordClean(local);
}

// Clean is only what the kernel has let go of: umount returns 0 while a copy in another mount
// namespace keeps the filesystem alive and writable.
absl::Status NodeService::UnstageFilesystem(LocalVolume& local, const std::string& staging,
                                            const Presence& presence) {
  std::optional<RootAttributes> root;
  if (presence.MountAt(staging) != nullptr) {
    ASSIGN_OR_RETURN(UniqueFd mount, host_.OpenMount(staging));
    // A freeze that its user forgot would outlive the last mount through which it can be ended.
    if (const auto thawed = host_.Thaw(mount); thawed.ok() && *thawed) {
      spdlog::warn("volume {} was frozen by somebody else: thawed to put it away", local.volume.id);
    }
    // A filesystem that was shut down is put away all the same, but what it says of its root is
    // what it has in memory: the disk may still have the root of before. And what somebody else
    // mounted there since is nothing to remember.
    const bool ours = local.volume.stage.last_end == LastEnd::kStaged &&
                      IsStagedAt(local.volume, *presence.loop, staging);
    if (ours && host_.SyncMounted(mount).ok()) {
      if (auto found = host_.ReadRoot(mount); found.ok()) root = *std::move(found);
    }
    mount.Close();  // it would keep its own mount busy
    RETURN_IF_ERROR(host_.Unmount(staging));
  }
  const absl::Status gone = WaitUntilDetached(host_, *presence.loop);
  if (absl::IsUnavailable(gone)) {
    return absl::FailedPreconditionError("unstage of volume " + local.volume.id + ": " +
                                         std::string(gone.message()));
  }
  RETURN_IF_ERROR(gone);
  if (!root) return RecordUnseenEnd(local);
  local.volume.stage.root = root;
  return RecordClean(local);
}

// The volume is gone from the node and nobody saw how: an earlier attempt found it held, or the
// driver or the node died. Its root is read now, privately, so that what changes from now on is
// told from what changed while it was mounted. Nothing here fails the unstage: what cannot be read
// or is not as it should be is said by the next stage.
absl::Status NodeService::RecordUnseenEnd(LocalVolume& local) {
  if (local.volume.stage.last_end != LastEnd::kStaged) return absl::OkStatus();
  if (local.volume.content == Content::kBlock) return RecordClean(local);
  const auto read_root = [&]() -> absl::StatusOr<RootAttributes> {
    {
      // A repair under way, or a copy that is mounted: mounting the image too would damage it.
      ASSIGN_OR_RETURN(const UniqueFd looked, engine_.OpenImage(local, Access::kReadOnly));
      ASSIGN_OR_RETURN(const auto writer, host_.OtherWriter(looked));
      if (writer) return absl::FailedPreconditionError("open in " + *writer);
    }
    RETURN_IF_ERROR(CheckNoTwin(local));
    ASSIGN_OR_RETURN(const UniqueFd image, engine_.OpenImage(local, Access::kReadWrite));
    ASSIGN_OR_RETURN(const auto found, host_.Identify(image));
    RETURN_IF_ERROR(CheckIdentity(local.volume, found));
    const bool discard = GivesBack(local.volume.parameters.provisioning, local.pool->filesystem);
    ASSIGN_OR_RETURN(
        PrivateMount mount,
        PrivateMount::Open(host_, image, {.content = local.volume.content, .discard = discard}));
    ASSIGN_OR_RETURN(RootAttributes root, host_.ReadRoot(mount.root()));
    RETURN_IF_ERROR(mount.Release());
    return root;
  };
  const auto root = read_root();
  if (!root.ok()) return absl::OkStatus();
  const RootJudgement judgement = JudgeRoot(local.volume, *root);
  if (judgement.kind == RootJudgement::Kind::kRefused) return absl::OkStatus();
  if (judgement.kind == RootJudgement::Kind::kNewBaseline) spdlog::warn("{}", judgement.sentence);
  local.volume.stage.root = *root;
  return RecordClean(local);
}

absl::Status NodeService::RecordClean(LocalVolume& local) {
  local.volume.stage.last_end = LastEnd::kClean;
  local.volume.stage.terms.reset();
  local.volume.stage.staging_digest.clear();
  local.volume.stage.disk_sequence = 0;
  return Record(local);
}

// kubelet forgets a volume when it restarts after the last unpublish and before the unstage: nobody
// calls NodeUnstageVolume any more, and the volume could never be deleted. What is put away here is
// the stage that was recorded under this boot, when it is the only mount: a mount at another path
// is a target, or somebody's own.
absl::Status NodeService::PutAwayForgotten(LocalVolume& local) {
  ASSIGN_OR_RETURN(const Presence presence, Ask(local));
  if (!presence.loop) return absl::OkStatus();
  const StageRecord& record = local.volume.stage;
  ASSIGN_OR_RETURN(const std::string boot_id, host_.BootId());
  if (record.last_end != LastEnd::kStaged || record.boot_id != boot_id) return absl::OkStatus();
  if (!IsStagedOn(record, *presence.loop)) return absl::OkStatus();
  if (local.volume.content == Content::kBlock) {
    if (!presence.mounts.empty() || presence.loop->autoclear) return absl::OkStatus();
    ASSIGN_OR_RETURN(const bool held, StaysHeld(host_, *presence.loop));
    if (held) return absl::OkStatus();
    spdlog::warn("volume {} is deleted while it is staged: unstaging it first", local.volume.id);
    RETURN_IF_ERROR(host_.Detach(*presence.loop));
    return RecordClean(local);
  }
  if (presence.mounts.size() != 1) return absl::OkStatus();
  const std::string staging = presence.mounts.front().target;
  if (!IsStagingPath(local.volume, staging)) return absl::OkStatus();
  spdlog::warn("volume {} is deleted while it is staged: unstaging it first", local.volume.id);
  return UnstageFilesystem(local, staging, presence);
}

}  // namespace holdfast
