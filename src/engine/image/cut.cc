#include "engine/image/cut.h"

#include "base/refusal.h"
#include "base/status_macros.h"
#include "engine/image/frozen_filesystem.h"
#include "engine/image/image_files.h"

namespace holdfast {
namespace {

absl::StatusOr<Cut> CutFrozen(Pool& pool, const Volume& volume, const Loop& loop,
                              const UniqueFd& source, const std::string& incarnation,
                              std::chrono::milliseconds deadline) {
  ASSIGN_OR_RETURN(const auto mounts, pool.host.MountsOf(loop));
  if (mounts.empty()) {
    return absl::FailedPreconditionError(
        Refusal{"cut of " + volume.id, "its filesystem mounted on this node",
                loop.path + " attached without a mount here",
                "unmount it where it was mounted by hand, then try again"}
            .Sentence());
  }
  ASSIGN_OR_RETURN(const auto frozen,
                   FrozenFilesystem::Freeze(pool.host, mounts.front().target, deadline));
  Cut cut{.image = UniqueFd(), .consistency = Consistency::kFrozen, .root = std::nullopt};
  ASSIGN_OR_RETURN(cut.image, CutImage(pool, incarnation, source));
  ASSIGN_OR_RETURN(cut.root, pool.host.ReadRoot(frozen->root()));
  RETURN_IF_ERROR(frozen->Thaw());
  return cut;
}

}  // namespace

absl::StatusOr<Cut> CutVolume(Pool& pool, const Volume& volume, const UniqueFd& source,
                              const std::string& incarnation, std::chrono::milliseconds deadline) {
  ASSIGN_OR_RETURN(const FileFacts facts, pool.host.Describe(source));
  ASSIGN_OR_RETURN(const auto loops, pool.host.Attachments(facts));
  if (!loops.empty() && volume.content != Content::kBlock) {
    return CutFrozen(pool, volume, loops.front(), source, incarnation, deadline);
  }
  Cut cut;
  if (!loops.empty()) {
    cut.consistency = Consistency::kCrash;
    RETURN_IF_ERROR(pool.host.SyncLoop(loops.front()));
  }
  // After a crash the recorded root may lawfully be out of date.
  if (volume.stage.last_end != LastEnd::kStaged) cut.root = volume.stage.root;
  ASSIGN_OR_RETURN(cut.image, CutImage(pool, incarnation, source));
  return cut;
}

}  // namespace holdfast
