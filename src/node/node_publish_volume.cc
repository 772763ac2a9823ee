#include <fmt/format.h>

#include "base/refusal.h"
#include "base/status_macros.h"
#include "integrity/verdict.h"
#include "node/capability_check.h"
#include "node/node_service.h"
#include "rpc/parse.h"

namespace holdfast {

struct NodeService::Publish {
  std::string volume_id;
  std::string staging;
  std::string target;
  Capability capability;
  MountFlags flags;
};

namespace {

std::string InWords(const MountFlags& flags) {
  return fmt::format("{}, {}, {}{}", flags.read_only ? "read-only" : "writable",
                     flags.no_exec ? "noexec" : "exec", flags.atime.value_or("relatime"),
                     flags.no_dir_atime ? ", nodiratime" : "");
}

// How a mount is shown, in words to compare and to tell.
std::string Shown(const MountEntry& mount) {
  return InWords({.read_only = mount.read_only,
                  .no_exec = mount.no_exec,
                  .atime = mount.atime,
                  .no_dir_atime = mount.no_dir_atime});
}

// How a publish with these flags shows the staged mount: what they do not name stays as staged, but
// for read-only, which is asked for or not.
std::string WouldShow(const MountEntry& staged, const MountFlags& flags) {
  return InWords({.read_only = flags.read_only,
                  .no_exec = staged.no_exec || flags.no_exec,
                  .atime = flags.atime.value_or(staged.atime),
                  .no_dir_atime = staged.no_dir_atime || flags.no_dir_atime});
}

}  // namespace

absl::Status NodeService::Handle(const csi::v1::NodePublishVolumeRequest& request,
                                 csi::v1::NodePublishVolumeResponse&) {
  // Parse.
  Publish publish;
  ASSIGN_OR_RETURN(publish.volume_id, RequireId("volume_id", request.volume_id()));
  ASSIGN_OR_RETURN(publish.target, RequirePath("target_path", request.target_path()));
  ASSIGN_OR_RETURN(publish.capability,
                   ParseCapability("volume_capability", request.volume_capability()));
  ASSIGN_OR_RETURN(publish.flags, ParseAllowedFlags(publish.capability));
  publish.flags.read_only = publish.flags.read_only || request.readonly();
  ASSIGN_OR_RETURN(publish.staging,
                   RequirePath("staging_target_path", request.staging_target_path(),
                               absl::StatusCode::kFailedPrecondition));
  // Lock.
  ASSIGN_OR_RETURN(const auto guard, Lock(publish.volume_id));
  // Ask the catalog and the kernel what is already so.
  ASSIGN_OR_RETURN(LocalVolume local, engine_.FindLocal(publish.volume_id));
  ASSIGN_OR_RETURN(publish.staging, host_.ResolveTarget(publish.staging));
  ASSIGN_OR_RETURN(publish.target, host_.ResolveTarget(publish.target));
  if (publish.target == publish.staging) {
    return absl::InvalidArgumentError(Refusal{"target_path", "another path than the staging path",
                                              publish.target, "name the pod's own folder"}
                                          .Sentence());
  }
  RETURN_IF_ERROR(engine_.OpenImage(local, Access::kReadOnly).status());
  ASSIGN_OR_RETURN(const Presence presence, Ask(local));
  RETURN_IF_ERROR(CheckStaged(local, publish, presence));
  RETURN_IF_ERROR(CheckOptionsAsStaged(local.volume, publish.flags));
  ASSIGN_OR_RETURN(const bool published, AlreadyPublished(local, publish, presence));
  if (published) return absl::OkStatus();
  RETURN_IF_ERROR(CheckFitsStage(local.volume, publish));
  RETURN_IF_ERROR(CheckPlace(local.volume, publish, presence));
  // Intend, do and commit.
  return publish.capability.block() ? PublishBlock(local, publish, *presence.loop)
                                    : PublishFilesystem(local, publish);
}

// Without this, a publish after a reboot would bind the empty folder of the host, and the
// workload's data would go to the host's disk.
absl::Status NodeService::CheckStaged(const LocalVolume& local, const Publish& publish,
                                      const Presence& presence) {
  RETURN_IF_ERROR(engine_.fail_stop().CheckNotStopped(*local.pool, local.volume,
                                                      presence.loop.value_or(Loop())));
  const std::string check = "publish of volume " + local.volume.id;
  const StageRecord& record = local.volume.stage;
  ASSIGN_OR_RETURN(const std::string boot_id, host_.BootId());
  const bool recorded = record.last_end == LastEnd::kStaged && record.boot_id == boot_id &&
                        presence.loop && IsStagedAt(local.volume, *presence.loop, publish.staging);
  const MountEntry* staged = presence.MountAt(publish.staging);
  const bool block = local.volume.content == Content::kBlock;
  // A raw block device that nobody keeps goes with its last user, and its number is another's then.
  const bool shown = presence.loop && (block ? !presence.loop->autoclear : staged != nullptr);
  const bool complete = record.terms && (block || record.root);
  if (!recorded || !complete || !shown) {
    return absl::FailedPreconditionError(
        Refusal{check, "the volume verified and staged at " + publish.staging + " since this boot",
                shown ? "a mount that no stage of this boot recorded" : "nothing of it there",
                "stage it again (kubelet does when the pod is made anew)"}
            .Sentence());
  }
  if (!record.terms->read_only && staged != nullptr && staged->filesystem_read_only) {
    return absl::FailedPreconditionError(
        Refusal{check, "a writable filesystem, as it was staged",
                "one that the kernel made read-only after an error",
                "read the kernel log, end its pods, and restore a snapshot if data is damaged"}
            .Sentence());
  }
  return absl::OkStatus();
}

absl::Status NodeService::CheckFitsStage(const Volume& volume, const Publish& publish) {
  RETURN_IF_ERROR(CheckContent(volume, publish.capability));
  const std::string check = "publish of volume " + volume.id;
  const StageTerms& terms = *volume.stage.terms;
  // Or a volume staged for one pod would get the targets of several.
  const auto staged_mode = ParseAccessMode(terms.access_mode);
  const bool several = staged_mode && AllowsSeveralTargets(*staged_mode);
  if (AllowsSeveralTargets(publish.capability.mode) && !several) {
    return absl::FailedPreconditionError(Refusal{check, terms.access_mode + ", as staged",
                                                 AccessModeName(publish.capability.mode),
                                                 "publish it as it is staged, or stage it anew"}
                                             .Sentence());
  }
  const bool wants_write = !publish.flags.read_only;
  if (terms.read_only && wants_write) {
    return absl::FailedPreconditionError(Refusal{check, "a read-only publish, as it was staged",
                                                 "a writable one",
                                                 "ask for readOnly, or stage it writable"}
                                             .Sentence());
  }
  // A read-only bind of a device node does not make the device read-only.
  if (publish.capability.block() && !wants_write && !terms.read_only) {
    return absl::FailedPreconditionError(
        Refusal{check, "a writable publish, as it was staged", "a read-only one",
                "use an access mode that is read-only (ReadOnlyMany)"}
            .Sentence());
  }
  return absl::OkStatus();
}

// True for a repeated call. ALREADY_EXISTS when the target shows it otherwise.
absl::StatusOr<bool> NodeService::AlreadyPublished(const LocalVolume& local, const Publish& publish,
                                                   const Presence& presence) {
  const MountEntry* mount = presence.MountAt(publish.target);
  if (mount == nullptr) return false;
  // The bind of a device node says nothing of the device: that is as it was staged.
  const MountEntry* staged = presence.MountAt(publish.staging);
  const bool block = local.volume.content == Content::kBlock;
  const std::string shown =
      block ? InWords({.read_only = local.volume.stage.terms->read_only}) : Shown(*mount);
  const std::string wanted =
      block ? InWords({.read_only = publish.flags.read_only}) : WouldShow(*staged, publish.flags);
  if (shown == wanted && CheckContent(local.volume, publish.capability).ok()) return true;
  return absl::AlreadyExistsError(Refusal{
      "target " + publish.target,
      fmt::format("{}, {}, as it is published", ContentName(local.volume.content), shown),
      fmt::format("{}, {}", WantedContent(publish.capability), wanted), "unpublish it first"}
                                      .Sentence());
}

// FAILED_PRECONDITION when the target is somebody else's or the access mode allows no second one.
absl::Status NodeService::CheckPlace(const Volume& volume, const Publish& publish,
                                     const Presence& presence) {
  ASSIGN_OR_RETURN(const auto foreign, host_.MountedAt(publish.target));
  if (foreign) {
    return absl::FailedPreconditionError(Refusal{"target " + publish.target, "nothing mounted",
                                                 foreign->type + " from " + foreign->source,
                                                 "unmount it first"}
                                             .Sentence());
  }
  const MountEntry* elsewhere = presence.MountElsewhere(publish.staging, publish.target);
  if (elsewhere == nullptr || AllowsSeveralTargets(publish.capability.mode)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      Refusal{"publish of volume " + volume.id,
              std::string("one target at a time with ") + AccessModeName(publish.capability.mode),
              "one published at " + elsewhere->target, "end the pod that uses it first"}
          .Sentence());
}

absl::Status NodeService::PublishBlock(const LocalVolume&, const Publish& publish,
                                       const Loop& loop) {
  ASSIGN_OR_RETURN(const UniqueFd device, host_.CloneDevice(loop));
  RETURN_IF_ERROR(host_.EnsureTarget(publish.target, TargetKind::kFile));
  return host_.MoveMount(device, publish.target);
}

// Judged is what this publish does: the root through the staged mount just before, and through the
// target just after.
absl::Status NodeService::PublishFilesystem(LocalVolume& local, const Publish& publish) {
  ASSIGN_OR_RETURN(const UniqueFd staged, host_.OpenMount(publish.staging));
  ASSIGN_OR_RETURN(const RootAttributes before, host_.ReadRoot(staged));
  RETURN_IF_ERROR(JudgeSameRoot(local.volume, *local.volume.stage.root, before));
  if (!local.volume.stage.published) {
    // Later publishes come after kubelet's fsGroup walk and the workload's own lawful changes.
    RETURN_IF_ERROR(JudgePublish(local.volume, *local.volume.stage.root, before));
    local.volume.stage.published = true;
    // After a power cut the volume is not staged any more, and nobody asks.
    RETURN_IF_ERROR(Record(local, Outlives::kProcess));
  }
  ASSIGN_OR_RETURN(const UniqueFd mount, host_.CloneMount(staged, publish.flags));
  RETURN_IF_ERROR(host_.EnsureTarget(publish.target, TargetKind::kFolder));
  RETURN_IF_ERROR(host_.MoveMount(mount, publish.target));
  const auto check = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const UniqueFd shown, host_.OpenMount(publish.target));
    ASSIGN_OR_RETURN(const RootAttributes after, host_.ReadRoot(shown));
    RETURN_IF_ERROR(JudgePublish(local.volume, before, after));
    ASSIGN_OR_RETURN(const bool read_only, host_.IsReadOnly(shown));
    if (read_only == publish.flags.read_only) return absl::OkStatus();
    return absl::InternalError(Refusal{"target " + publish.target,
                                       publish.flags.read_only ? "read-only, as it was asked for"
                                                               : "writable, as it was asked for",
                                       read_only ? "read-only" : "writable", "try again"}
                                   .Sentence());
  };
  const absl::Status checked = check();
  if (!checked.ok()) host_.Unmount(publish.target).IgnoreError();  // the check's error is told
  return checked;
}

}  // namespace holdfast
