// The kernel against catalog and folders: loop devices, mounts, freezes.
#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/status_macros.h"
#include "engine/image/image_engine.h"
#include "engine/image/upkeep/drain_order.h"
#include "engine/image/upkeep/examination.h"

namespace holdfast {
namespace {

std::string Targets(const std::vector<MountEntry>& mounts) {
  std::vector<std::string> targets;
  for (const MountEntry& mount : mounts) targets.push_back(mount.target);
  return fmt::format("{}", fmt::join(targets, ", "));
}

// "umount /b && umount /a": later mounts lie on earlier ones.
std::string UnmountCommands(const std::vector<MountEntry>& mounts) {
  std::vector<std::string> commands;
  for (auto mount = mounts.rbegin(); mount != mounts.rend(); ++mount) {
    commands.push_back("umount " + ShellWord(mount->target));
  }
  return fmt::format("{}", fmt::join(commands, " && "));
}

// Null: none of them is of the filesystem with that device.
const MountEntry* OfDevice(const std::vector<MountEntry>& mounts, uint64_t device) {
  const auto found = std::find_if(mounts.begin(), mounts.end(),
                                  [&](const MountEntry& mount) { return mount.device == device; });
  return found == mounts.end() ? nullptr : &*found;
}

}  // namespace

absl::Status Doctor::ReportUnmounted(Pool& pool, const Loop& loop, const std::string& image) {
  ASSIGN_OR_RETURN(const auto holders, host_.HoldersOf(loop));
  Finding finding = Of(pool, holders.empty() ? "leaked-loop" : "held-loop", loop.path);
  finding.expected = "no loop device that is not mounted";
  if (!holders.empty()) {
    finding.found = fmt::format("{} attached, held by {}", image, fmt::join(holders, ", "));
    finding.fix = "end what holds it; then it is detached as a leak";
    Report(std::move(finding));
    return absl::OkStatus();
  }
  finding.found = image + " attached, mounted nowhere, held by nobody";
  finding.fix = "detach " + loop.path;
  Report(std::move(finding), [this, loop] { return host_.Detach(loop); });
  return absl::OkStatus();
}

absl::Status Doctor::ExamineVolumeLoops(Pool& pool, const Volume& volume, const FileFacts& facts) {
  const std::string image = "volumes/" + ImageName(volume.incarnation);
  ASSIGN_OR_RETURN(const auto loops, host_.Attachments(facts));
  ASSIGN_OR_RETURN(const std::string boot_id, host_.BootId());
  const bool staged = volume.stage.last_end == LastEnd::kStaged && volume.stage.boot_id == boot_id;
  std::vector<std::string> in_use;
  for (const Loop& loop : loops) {
    ASSIGN_OR_RETURN(const auto mounts, host_.MountsOf(loop));
    const bool staged_block =
        staged && volume.content == Content::kBlock && !loop.autoclear && in_use.empty();
    if (mounts.empty() && !staged_block) {
      RETURN_IF_ERROR(ReportUnmounted(pool, loop, image));
      continue;
    }
    in_use.push_back(loop.path);
    if (staged) continue;
    Finding finding = Of(pool, "unrecorded-mount", volume.id);
    finding.expected = "a volume that is put away, as its record says";
    finding.found = fmt::format("{} mounted at {}", loop.path, Targets(mounts));
    finding.fix = "it was mounted by hand: " + UnmountCommands(mounts);
    Report(std::move(finding));
  }
  if (in_use.size() > 1) {
    Finding finding = Of(pool, "attached-twice", volume.id);
    finding.expected = "its image attached once at most";
    finding.found = fmt::format("in use as {}", fmt::join(in_use, " and "));
    finding.fix = "unmount the one that is not Holdfast's, then check the volume's data";
    Report(std::move(finding));
  }
  if (staged && loops.empty()) {
    Finding finding = Of(pool, "lost-stage", volume.id);
    finding.expected = "a staged volume, as its record says";
    finding.found = "no loop device with its image";
    finding.fix =
        "it was unmounted by hand, or its stage was interrupted: end its pods, and what "
        "kubelet does next puts the record right";
    Report(std::move(finding));
  }
  return absl::OkStatus();
}

absl::Status Doctor::ExamineStrayLoop(Pool& pool, const PoolLoop& loop, const FileClaims& claims) {
  const auto incarnation = IncarnationOf(loop.name);
  // By its inode first: whoever renames an image in use does not make it somebody else's.
  const FileClaim* claim = claims.OfInode(loop.loop.backing_inode);
  if (claim == nullptr && incarnation) claim = claims.OfIncarnation(*incarnation);
  const bool in_place = claim == nullptr || claim->inode == loop.loop.backing_inode ||
                        claim->state != ObjectState::kReady || loop.folder == claim->Folder();
  if (!in_place) claim = nullptr;  // a namesake of its image
  const bool of_volume = claim != nullptr && !claim->trashed && claim->kind == ObjectKind::kVolume;
  // A volume's own image is told with the volume; one that is being made belongs to a call.
  if (of_volume && !loop.deleted) return absl::OkStatus();
  if (claim != nullptr && claim->state == ObjectState::kCreating) return absl::OkStatus();
  const FileFacts facts{.device = loop.loop.backing_device, .inode = loop.loop.backing_inode};
  ASSIGN_OR_RETURN(const auto now, host_.Attachments(facts));
  const bool still = std::any_of(
      now.begin(), now.end(), [&](const Loop& other) { return other.number == loop.loop.number; });
  if (!still) return absl::OkStatus();
  const bool nobodys = claim == nullptr && (loop.folder == "work" || loop.folder == "trash");
  if (loop.deleted && !nobodys) {
    // The loop device is all that keeps these bytes: detaching it would delete them.
    Finding finding = Of(pool, "deleted-image", loop.loop.path);
    finding.expected = "an image that has a name";
    finding.found = loop.Path() + ", whose name was removed while it was attached";
    finding.fix = fmt::format(
        "save it first: 'dd if={} of=FILE bs=1M conv=sparse' on another disk; only then unmount it "
        "and 'losetup --detach {}', which deletes it",
        loop.loop.path, loop.loop.path);
    Report(std::move(finding));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const auto mounts, host_.MountsOf(loop.loop));
  const std::string image = loop.Path() + (loop.deleted ? " (deleted)" : "");
  if (mounts.empty()) return ReportUnmounted(pool, loop.loop, image);
  Finding finding = Of(pool, "leaked-mount", loop.loop.path);
  finding.expected = "mounts of volumes only";
  finding.found = fmt::format("{} mounted at {}", image, Targets(mounts));
  finding.fix = "look who uses it, then: " + UnmountCommands(mounts);
  Report(std::move(finding));
  return absl::OkStatus();
}

absl::Status Doctor::ExamineFreeze(const std::vector<Pool*>& pools, uint64_t device) {
  const auto recorded = [this, device]() -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const auto devices, host_.RecordedFreezes());
    return std::find(devices.begin(), devices.end(), device) != devices.end();
  };
  const auto thaw = [this, device]() -> absl::Status {
    RETURN_IF_ERROR(host_.ThawDevice(device).status());
    return host_.ForgetFreeze(device);
  };
  for (Pool* pool : pools) {
    ASSIGN_OR_RETURN(const auto files, ListPoolFiles(*pool));
    ASSIGN_OR_RETURN(const auto loops, ListPoolLoops(*pool, files));
    ASSIGN_OR_RETURN(const FileClaims claims, FileClaims::Read(*pool->catalog));
    for (const PoolLoop& loop : loops) {
      ASSIGN_OR_RETURN(const auto mounts, host_.MountsOf(loop.loop));
      const MountEntry* mount = OfDevice(mounts, device);
      if (mount == nullptr) continue;
      const auto incarnation = IncarnationOf(loop.name);
      const FileClaim* claim = incarnation ? claims.OfIncarnation(*incarnation) : nullptr;
      const auto parsed = claim == nullptr ? std::nullopt : ParseId(claim->id);
      absl::StatusOr<VolumeLocks::Guard> guard =
          locks_.TryLock(parsed ? VolumeKey(parsed->name_hash) : "freeze " + mount->target);
      if (!guard.ok()) return absl::OkStatus();  // a cut is being made of it
      ASSIGN_OR_RETURN(const bool still, recorded());
      if (!still) return absl::OkStatus();
      Finding finding = Of(*pool, "leaked-freeze", mount->target);
      finding.expected = "no filesystem frozen without a cut that is being made";
      finding.found = fmt::format("{} on {} recorded as frozen", claim ? claim->id : loop.Path(),
                                  loop.loop.path);
      finding.fix = "thaw it";
      Report(std::move(finding), thaw);
      return absl::OkStatus();
    }
  }
  ASSIGN_OR_RETURN(const bool still, recorded());
  if (!still) return absl::OkStatus();
  Finding finding{.kind = "stale-freeze", .object = fmt::format("device {:#x}", device)};
  finding.expected = "records of freezes of mounted volumes only";
  finding.found = "one of a device that no volume is mounted from";
  finding.fix = "forget the record";
  Report(std::move(finding), thaw);
  return absl::OkStatus();
}

void Doctor::ExamineFreezes(const std::vector<Pool*>& pools) {
  const auto examine = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto devices, host_.RecordedFreezes());
    for (const uint64_t device : devices) RETURN_IF_ERROR(ExamineFreeze(pools, device));
    return absl::OkStatus();
  };
  const absl::Status examined = examine();
  if (examined.ok()) return;
  Finding finding{.kind = "unexamined", .object = "freezes"};
  finding.expected = "records of freezes that can be read";
  finding.found = std::string(examined.message());
  finding.fix = "mend that, then run the doctor again";
  Report(std::move(finding));
}

}  // namespace holdfast
