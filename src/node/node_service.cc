#include "node/node_service.h"

#include "base/refusal.h"
#include "base/status_macros.h"
#include "rpc/parse.h"
#include "volume/ids.h"

namespace holdfast {

absl::StatusOr<VolumeLocks::Guard> NodeService::Lock(const std::string& volume_id) {
  const auto parsed = ParseId(volume_id);
  if (!parsed || parsed->kind != ObjectKind::kVolume) return NoSuchVolume(volume_id);
  return engine_.locks().TryLock(VolumeKey(parsed->name_hash));
}

absl::Status NodeService::CheckNothingAt(const std::string& path, const absl::Status& not_found) {
  ASSIGN_OR_RETURN(const std::string target, host_.ResolveTarget(path));
  ASSIGN_OR_RETURN(const auto mount, host_.MountedAt(target));
  return mount ? not_found : absl::OkStatus();
}

absl::StatusOr<Presence> NodeService::Ask(const LocalVolume& local) {
  return AskPresence(*local.pool, local.volume);
}

absl::Status NodeService::NoMountAt(const LocalVolume& local, const std::string& path) {
  return absl::NotFoundError(Refusal{"volume_path " + Quoted(path),
                                     "a path where volume " + local.volume.id + " is mounted",
                                     "no mount of it", "stage or publish it there first"}
                                 .Sentence());
}

absl::StatusOr<const MountEntry*> NodeService::MountOfPath(const LocalVolume& local,
                                                           const Presence& presence,
                                                           const std::string& path) {
  const auto target = host_.ResolveTarget(path);
  const bool cannot_be = absl::IsNotFound(target.status()) ||
                         absl::IsInvalidArgument(target.status()) ||
                         absl::IsFailedPrecondition(target.status());
  if (!target.ok() && !cannot_be) return target.status();
  const MountEntry* mount = target.ok() ? presence.MountAt(*target) : nullptr;
  if (mount != nullptr) return mount;
  return NoMountAt(local, path);
}

}  // namespace holdfast
