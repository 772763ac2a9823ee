#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include "base/build_info.h"
#include "base/refusal.h"
#include "base/status_macros.h"
#include "engine/image/cut.h"
#include "engine/image/private_mount.h"
#include "integrity/identity_check.h"
#include "integrity/verdict.h"
#include "node/capability_check.h"
#include "node/node_service.h"
#include "rpc/parse.h"

namespace holdfast {

struct NodeService::Stage {
  std::string volume_id;
  std::string staging;
  Capability capability;
  MountFlags flags;
  StageTerms terms;
};

namespace {

bool Discards(const ImageEngine::LocalVolume& local) {
  return GivesBack(local.volume.parameters.provisioning, local.pool->filesystem);
}

}  // namespace

absl::Status NodeService::Handle(const csi::v1::NodeStageVolumeRequest& request,
                                 csi::v1::NodeStageVolumeResponse&) {
  // Parse.
  Stage stage;
  ASSIGN_OR_RETURN(stage.volume_id, RequireId("volume_id", request.volume_id()));
  ASSIGN_OR_RETURN(stage.staging,
                   RequirePath("staging_target_path", request.staging_target_path()));
  ASSIGN_OR_RETURN(stage.capability,
                   ParseCapability("volume_capability", request.volume_capability()));
  ASSIGN_OR_RETURN(stage.flags, ParseAllowedFlags(stage.capability));
  stage.terms = {.access_mode = AccessModeName(stage.capability.mode),
                 .read_only = stage.flags.read_only,
                 .mount_flags = fmt::format("{}", fmt::join(stage.capability.mount_flags, "\n"))};
  // Lock.
  ASSIGN_OR_RETURN(const auto guard, Lock(stage.volume_id));
  // Ask the catalog and the kernel what is already so.
  ASSIGN_OR_RETURN(LocalVolume local, engine_.FindLocal(stage.volume_id));
  ASSIGN_OR_RETURN(stage.staging, host_.ResolveTarget(stage.staging));
  ASSIGN_OR_RETURN(const Presence presence, Ask(local));
  ASSIGN_OR_RETURN(const bool staged, AlreadyStaged(local, stage, presence));
  if (staged) return absl::OkStatus();
  RETURN_IF_ERROR(CheckContent(local.volume, stage.capability));
  RETURN_IF_ERROR(CheckNotRefused(local.volume));
  RETURN_IF_ERROR(CheckUncontested(local));
  RETURN_IF_ERROR(CheckAlone(local, stage, presence));
  // Intend, do and commit.
  ASSIGN_OR_RETURN(const UniqueFd image, engine_.OpenImage(local, Access::kReadWrite));
  RETURN_IF_ERROR(engine_.fail_stop().CheckRoomToRun(*local.pool, local.volume, image));
  if (stage.capability.block()) return StageBlock(local, stage, image);
  return TellDamage(local.volume, StageFilesystem(local, stage, image));
}

// True for a repeated call. ALREADY_EXISTS when it is staged otherwise.
absl::StatusOr<bool> NodeService::AlreadyStaged(const LocalVolume& local, const Stage& stage,
                                                const Presence& presence) {
  const StageRecord& record = local.volume.stage;
  if (!presence.loop || record.last_end != LastEnd::kStaged) return false;
  ASSIGN_OR_RETURN(const std::string boot_id, host_.BootId());
  if (record.boot_id != boot_id || !IsStagedAt(local.volume, *presence.loop, stage.staging)) {
    return false;
  }
  // A block volume is staged by its pinned loop device alone.
  const bool block = local.volume.content == Content::kBlock;
  const bool ours = block ? !presence.loop->autoclear : presence.MountAt(stage.staging) != nullptr;
  if (!ours) return false;
  RETURN_IF_ERROR(engine_.fail_stop().CheckNotStopped(*local.pool, local.volume, *presence.loop));
  if (!block) RETURN_IF_ERROR(CheckAlive(local, stage.staging));
  const absl::Status fits = CheckContent(local.volume, stage.capability);
  if (record.terms == stage.terms && fits.ok()) return true;
  return absl::AlreadyExistsError(Refusal{
      "stage of volume " + local.volume.id,
      fmt::format("{}, access mode {}, read-only {}, as it is staged",
                  ContentName(local.volume.content),
                  record.terms ? record.terms->access_mode : "unknown", presence.loop->read_only),
      fmt::format("{}, access mode {}, read-only {} or other mount flags",
                  WantedContent(stage.capability), stage.terms.access_mode, stage.terms.read_only),
      "unstage it first"}
                                      .Sentence());
}

// A filesystem that was shut down after an error still is a mount, but no data comes from it.
absl::Status NodeService::CheckAlive(const LocalVolume& local, const std::string& staging) {
  ASSIGN_OR_RETURN(const UniqueFd mount, host_.OpenMount(staging));
  const auto root = host_.ReadRoot(mount);
  if (root.ok()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Refusal{"filesystem of volume " + local.volume.id, "one that can be read",
              std::string(root.status().message()),
              "read the kernel log; end its pods, so that it is unstaged and staged again"}
          .Sentence());
}

// A pool that two nodes have at once is a disk that both write to, or a copy: nobody can tell which
// of the two the volume is.
absl::Status NodeService::CheckUncontested(const LocalVolume& local) {
  if (!options_.other_node_of) return absl::OkStatus();
  const PoolIdentity& pool = local.pool->catalog->identity();
  const std::string other = options_.other_node_of(pool.uuid);
  if (other.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Refusal{"pool " + pool.name + " (" + pool.uuid + ") of volume " + local.volume.id,
              "this node's alone", "node " + other + " reporting it too",
              "take the copy away, or remove its --pool there"}
          .Sentence());
}

// Nobody else has the image, nothing else is at the path.
absl::Status NodeService::CheckAlone(const LocalVolume& local, const Stage& stage,
                                     const Presence& presence) {
  const std::string check = "image of volume " + local.volume.id;
  if (presence.loop) {
    const std::string where =
        presence.mounts.empty() ? "" : " mounted at " + presence.mounts.front().target;
    return absl::FailedPreconditionError(
        Refusal{check, "not attached", "attached as " + presence.loop->path + where,
                "unmount it there; if a pod still uses it, wait for its end"}
            .Sentence());
  }
  ASSIGN_OR_RETURN(const UniqueFd image, engine_.OpenImage(local, Access::kReadOnly));
  ASSIGN_OR_RETURN(const auto writer, host_.OtherWriter(image));
  if (writer) {
    return absl::FailedPreconditionError(
        Refusal{check, "open for writing nowhere", "open in " + *writer, "end that program first"}
            .Sentence());
  }
  ASSIGN_OR_RETURN(const auto other, host_.MountedAt(stage.staging));
  if (!other || stage.capability.block()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Refusal{"staging path " + stage.staging, "nothing mounted",
              fmt::format("{} from {}", other->type, other->source), "unmount it first"}
          .Sentence());
}

absl::Status NodeService::StageBlock(LocalVolume& local, const Stage& stage,
                                     const UniqueFd& image) {
  const Access access = stage.terms.read_only ? Access::kReadOnly : Access::kReadWrite;
  ASSIGN_OR_RETURN(const AttachedLoop attached,
                   host_.Attach(image, {.access = access, .discard = Discards(local)}));
  ASSIGN_OR_RETURN(local.volume.stage,
                   StagedRecord(host_, local.volume, stage.terms, stage.staging, attached.loop));
  RETURN_IF_ERROR(Record(local));
  return host_.PinLoop(attached.loop);
}

absl::Status NodeService::StageFilesystem(LocalVolume& local, const Stage& stage,
                                          const UniqueFd& image) {
  RETURN_IF_ERROR(PrepareFilesystem(local, stage, image));
  const Access access = stage.terms.read_only ? Access::kReadOnly : Access::kReadWrite;
  ASSIGN_OR_RETURN(const AttachedLoop attached,
                   host_.Attach(image, {.access = access, .discard = Discards(local)}));
  RETURN_IF_ERROR(engine_.fail_stop().LimitDirty(*local.pool, local.volume, attached.loop));
  ASSIGN_OR_RETURN(const UniqueFd mount,
                   host_.MountDetached(attached.loop, {.flags = stage.flags,
                                                       .content = local.volume.content,
                                                       .discard = Discards(local)}));
  ASSIGN_OR_RETURN(const RootAttributes root, host_.ReadRoot(mount));
  RETURN_IF_ERROR(Judge(local, root));
  return ShowStaged(local, stage, mount, root, attached.loop);
}

// A refusal is recorded, and repeated until somebody acknowledges it.
absl::Status NodeService::Judge(LocalVolume& local, const RootAttributes& root) {
  const RootJudgement judgement = JudgeRoot(local.volume, root);
  if (judgement.kind == RootJudgement::Kind::kRefused) {
    local.volume.stage.verdict = Verdict{.sentence = judgement.sentence, .found = root};
    RETURN_IF_ERROR(Record(local));
    return absl::FailedPreconditionError(judgement.sentence);
  }
  if (judgement.kind == RootJudgement::Kind::kNewBaseline) spdlog::warn("{}", judgement.sentence);
  return absl::OkStatus();
}

// The filesystem is the recorded one, and as large as its volume.
absl::Status NodeService::PrepareFilesystem(LocalVolume& local, const Stage& stage,
                                            const UniqueFd& image) {
  const auto found = host_.Identify(image);
  RETURN_IF_ERROR(found.status());
  RETURN_IF_ERROR(CheckIdentity(local.volume, *found));
  RETURN_IF_ERROR(CheckNoTwin(local));
  if (local.volume.filesystem_bytes < local.volume.capacity_bytes) return Grow(local, image);
  // A read-only loop device cannot replay what a crash left in the log.
  const bool crashed = local.volume.stage.last_end == LastEnd::kStaged;
  if (!stage.terms.read_only || !crashed || !(*found)->needs_recovery) return absl::OkStatus();
  ASSIGN_OR_RETURN(PrivateMount replay, PrivateMount::Open(host_, image,
                                                           {.content = local.volume.content,
                                                            .discard = Discards(local)}));
  return replay.Release();
}

// Judged before it is resized: what somebody changed is left as it was found.
absl::Status NodeService::Grow(LocalVolume& local, const UniqueFd& image) {
  ASSIGN_OR_RETURN(PrivateMount mount, PrivateMount::Open(host_, image,
                                                          {.content = local.volume.content,
                                                           .discard = Discards(local)}));
  ASSIGN_OR_RETURN(const RootAttributes root, host_.ReadRoot(mount.root()));
  RETURN_IF_ERROR(Judge(local, root));
  RETURN_IF_ERROR(mount.Release());
  RETURN_IF_ERROR(engine_.GrowFilesystem(local, image));
  local.volume.filesystem_bytes = local.volume.capacity_bytes;
  return Record(local);
}

// A copy of the image that is mounted too: XFS says 'Invalid argument' then, ext4 nothing at all,
// and btrfs gives one of them another UUID for the while. Nobody can tell which one is the volume.
absl::Status NodeService::CheckNoTwin(const LocalVolume& local) {
  const Volume& volume = local.volume;
  ASSIGN_OR_RETURN(const auto twins, host_.MountedWithUuid(volume.content, volume.filesystem_uuid));
  for (const MountedDevice& twin : twins) {
    // A clone that is being made carries its source's UUID while its log is replayed.
    ASSIGN_OR_RETURN(const bool being_made, IsBeingMade(host_, *local.pool, twin));
    if (being_made) continue;
    return absl::FailedPreconditionError(
        Refusal{"filesystem UUID " + volume.filesystem_uuid + " of volume " + volume.id,
                "no other image with it mounted", "that of " + twin.path,
                "unmount that copy, or give it a UUID of its own"}
            .Sentence());
  }
  return absl::OkStatus();
}

// The record comes first: a volume that was shown and could be changed is never called put away.
absl::Status NodeService::ShowStaged(LocalVolume& local, const Stage& stage, const UniqueFd& mount,
                                     const RootAttributes& root, const Loop& loop) {
  const StageRecord before = local.volume.stage;
  ASSIGN_OR_RETURN(local.volume.stage,
                   StagedRecord(host_, local.volume, stage.terms, stage.staging, loop));
  local.volume.stage.root = root;
  RETURN_IF_ERROR(Record(local));
  absl::Status shown = engine_.fail_stop().Resume(*local.pool, local.volume);
  if (shown.ok()) shown = host_.MoveMount(mount, stage.staging);
  if (shown.ok()) return shown;
  local.volume.stage = before;
  const absl::Status undone = Record(local);
  if (undone.ok()) return shown;
  return absl::Status(shown.code(),
                      fmt::format("{}; and its record could not be put back: {}",
                                  std::string(shown.message()), std::string(undone.message())));
}

}  // namespace holdfast
