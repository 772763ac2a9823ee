#include "node/capability_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "absl/strings/str_split.h"
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

namespace {

// What a bind of the staged mount cannot change.
MountFlags OfFilesystem(const MountFlags& flags) {
  return {.synchronous = flags.synchronous,
          .dir_synchronous = flags.dir_synchronous,
          .filesystem_options = flags.filesystem_options};
}

std::string OptionsInWords(const MountFlags& flags) {
  std::vector<std::string> words;
  if (flags.synchronous) words.push_back("sync");
  if (flags.dir_synchronous) words.push_back("dirsync");
  for (const MountFlags::Option& option : flags.filesystem_options) {
    words.push_back(option.name + (option.value ? "=" + *option.value : ""));
  }
  return words.empty() ? "none" : fmt::format("{}", fmt::join(words, ","));
}

}  // namespace

absl::Status CheckOptionsAsStaged(const Volume& volume, const MountFlags& publish) {
  const MountFlags wanted = OfFilesystem(publish);
  if (wanted == MountFlags() || !volume.stage.terms) return absl::OkStatus();
  const std::string& recorded = volume.stage.terms->mount_flags;
  std::vector<std::string> lines;
  if (!recorded.empty()) lines = absl::StrSplit(recorded, '\n');
  ASSIGN_OR_RETURN(const MountFlags staged, ParseMountFlags(lines));
  if (wanted == OfFilesystem(staged)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Refusal{"mount flags of the publish of volume " + volume.id,
              OptionsInWords(OfFilesystem(staged)) + ", as it was staged", OptionsInWords(wanted),
              "name them for the stage too, or stage it anew"}
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
