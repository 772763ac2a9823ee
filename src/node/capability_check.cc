#include "node/capability_check.h"

#include <fmt/format.h>

#include "base/build_info.h"
#include "base/refusal.h"
#include "base/status_macros.h"
#include "volume/ids.h"
#include "volume/mount_policy.h"

namespace holdfast {

absl::StatusOr<MountFlags> ParseAllowedFlags(const Capability& capability) {
  ASSIGN_OR_RETURN(MountFlags flags, ParseMountFlags(capability.mount_flags));
  for (const MountFlags::Option& option : flags.filesystem_options) {
    const auto reason = RefusedMountOption(option.name, option.value);
    if (!reason) continue;
    return absl::InvalidArgumentError(
        fmt::format("mount flag {}: expected one that keeps the volume verified, found {}; remove "
                    "it from the StorageClass or the volume",
                    option.name, *reason));
  }
  flags.read_only = flags.read_only || IsReadOnly(capability.mode);
  return flags;
}

std::string WantedContent(const Capability& capability) {
  return capability.content ? ContentName(*capability.content) : "a filesystem";
}

absl::Status CheckContent(const Volume& volume, const Capability& capability) {
  const bool fits = capability.content ? *capability.content == volume.content
                                       : volume.content != Content::kBlock;
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(Refusal{"volume_capability for " + volume.id,
                                            ContentName(volume.content), WantedContent(capability),
                                            "use the volume as it was created"}
                                        .Sentence());
}

absl::StatusOr<StageRecord> StagedRecord(Host& host, const Volume& volume, const StageTerms& terms,
                                         const std::string& staging, const Loop& loop) {
  StageRecord record = volume.stage;
  ASSIGN_OR_RETURN(record.boot_id, host.BootId());
  record.last_end = LastEnd::kStaged;
  record.driver_version = kDriverVersion;
  record.terms = terms;
  record.staging_digest = NameHash(staging);
  record.disk_sequence = loop.disk_sequence;
  record.published = false;
  return record;
}

bool IsStagedOn(const StageRecord& record, const Loop& loop) {
  return record.disk_sequence == 0 || record.disk_sequence == loop.disk_sequence;
}

bool IsStagedAt(const Volume& volume, const Loop& loop, const std::string& path) {
  const bool any_path = volume.content == Content::kBlock || volume.stage.staging_digest.empty();
  return IsStagedOn(volume.stage, loop) && (any_path || IsStagingPath(volume, path));
}

bool IsStagingPath(const Volume& volume, const std::string& path) {
  return volume.stage.last_end == LastEnd::kStaged && volume.stage.staging_digest == NameHash(path);
}

}  // namespace holdfast
