#include "engine/image/cut.h"

#include <chrono>
#include <thread>

#include "base/refusal.h"
#include "base/status_macros.h"
#include "engine/image/frozen_filesystem.h"
#include "engine/image/image_files.h"

namespace holdfast {
namespace {

// A mount of the whole filesystem that nothing covers: what opens at its path is this filesystem.
// Empty when there is none.
absl::StatusOr<std::string> VisibleMount(Host& host, const Loop& loop) {
  ASSIGN_OR_RETURN(const auto mounts, host.MountsOf(loop));
  for (const MountEntry& mount : mounts) {
    if (mount.visible && mount.root == "/") return mount.target;
  }
  return std::string();
}

absl::StatusOr<Cut> CutFrozen(Pool& pool, const Volume& volume, const Loop& loop,
                              const UniqueFd& source, const std::string& incarnation,
                              std::chrono::milliseconds deadline) {
  ASSIGN_OR_RETURN(const std::string target, VisibleMount(pool.host, loop));
  if (target.empty()) {
    return absl::FailedPreconditionError(
        Refusal{"cut of " + volume.id, "its filesystem mounted on this node",
                loop.path + " attached without a mount that can be frozen here",
                "unmount it where it was mounted by hand, then try again"}
            .Sentence());
  }
  ASSIGN_OR_RETURN(const auto frozen, FrozenFilesystem::Freeze(pool.host, target, deadline));
  Cut cut{.image = UniqueFd(), .consistency = Consistency::kFrozen, .root = std::nullopt};
  ASSIGN_OR_RETURN(cut.image, CutImage(pool, incarnation, source));
  ASSIGN_OR_RETURN(cut.root, pool.host.ReadRoot(frozen->root()));
  RETURN_IF_ERROR(frozen->Thaw());
  return cut;
}

// A growth that a server which was killed had begun goes on without it, and what is cut in the
// midst of that is damaged.
absl::Status CheckNobodyWrites(Host& host, const Volume& volume, const UniqueFd& source) {
  ASSIGN_OR_RETURN(auto writer, host.OtherWriter(source));
  // A loop device that was just cleared lets go of its file a moment later.
  for (int again = 0; writer && again < 3; ++again) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSIGN_OR_RETURN(writer, host.OtherWriter(source));
  }
  if (!writer) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Refusal{"cut of " + volume.id, "its image open for writing nowhere", "open in " + *writer,
              "wait for its end, then try again"}
          .Sentence());
}

// What its next stage would refuse is not to be had through a copy.
absl::Status CheckRecorded(const Volume& volume) {
  if (volume.content == Content::kBlock || volume.stage.root) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Refusal{"cut of " + volume.id, "a recorded root directory", "none recorded",
              "stage it, which is refused and says what was found, and acknowledge that"}
          .Sentence());
}

}  // namespace

absl::Status CheckNotRefused(const Volume& volume) {
  if (!volume.stage.verdict) return absl::OkStatus();
  return absl::FailedPreconditionError(volume.stage.verdict->sentence);
}

absl::StatusOr<Cut> CutVolume(Pool& pool, const Volume& volume, const UniqueFd& source,
                              const std::string& incarnation, std::chrono::milliseconds deadline) {
  ASSIGN_OR_RETURN(const FileFacts facts, pool.host.Describe(source));
  ASSIGN_OR_RETURN(const auto loops, pool.host.Attachments(facts));
  if (loops.size() > 1) {
    return absl::FailedPreconditionError(
        Refusal{"cut of " + volume.id, "its image attached once at most",
                "attached as " + loops[0].path + " and " + loops[1].path,
                "detach the one that is not Holdfast's"}
            .Sentence());
  }
  if (loops.empty()) RETURN_IF_ERROR(CheckNobodyWrites(pool.host, volume, source));
  if (!loops.empty() && volume.content != Content::kBlock) {
    return CutFrozen(pool, volume, loops.front(), source, incarnation, deadline);
  }
  RETURN_IF_ERROR(CheckRecorded(volume));
  Cut cut;
  if (!loops.empty()) RETURN_IF_ERROR(pool.host.SyncLoop(loops.front()));
  const bool ended_unseen = volume.stage.last_end == LastEnd::kStaged;
  if (!loops.empty() || ended_unseen) cut.consistency = Consistency::kCrash;
  cut.root = volume.stage.root;
  cut.root_may_differ = ended_unseen;
  ASSIGN_OR_RETURN(cut.image, CutImage(pool, incarnation, source));
  return cut;
}

}  // namespace holdfast
