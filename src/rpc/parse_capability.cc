// The part of parse.h about VolumeCapability.
#include "base/status_macros.h"
#include "fmt/format.h"
#include "rpc/parse.h"
#include "volume/mount_policy.h"

namespace holdfast {
namespace {

using csi::v1::VolumeCapability;

absl::Status Malformed(std::string_view field, std::string_view sentence) {
  return absl::InvalidArgumentError(fmt::format("{}: {}", field, sentence));
}

absl::StatusOr<std::optional<Content>> ParseFilesystem(std::string_view field,
                                                       const std::string& fs_type) {
  if (fs_type.empty()) return std::optional<Content>();
  std::optional<Content> content = ParseContent(fs_type);
  if (!content || *content == Content::kBlock) {
    return Malformed(
        field, fmt::format("fs_type: expected ext4, xfs or btrfs, found {}", Quoted(fs_type)));
  }
  return content;
}

absl::StatusOr<AccessMode> ParseMode(std::string_view field, const VolumeCapability& capability) {
  const VolumeCapability::AccessMode::Mode mode = capability.access_mode().mode();
  if (mode == VolumeCapability::AccessMode::UNKNOWN) {
    return Malformed(field, "access_mode: expected one, found none");
  }
  if (auto parsed = ParseAccessMode(VolumeCapability::AccessMode::Mode_Name(mode))) return *parsed;
  if (!VolumeCapability::AccessMode::Mode_IsValid(mode)) {
    return Malformed(field, fmt::format("access_mode: expected one of CSI 1.13, found number {}",
                                        static_cast<int>(mode)));
  }
  return Malformed(
      field,
      fmt::format("access_mode: expected one that needs no more than one writing node, found "
                  "{}; a volume lives on one node: ask for ReadWriteOnce, ReadWriteOncePod "
                  "or ReadOnlyMany",
                  VolumeCapability::AccessMode::Mode_Name(mode)));
}

absl::StatusOr<std::vector<std::string>> ParseFlags(std::string_view field,
                                                    const VolumeCapability::MountVolume& mount) {
  std::vector<std::string> flags(mount.mount_flags().begin(), mount.mount_flags().end());
  size_t bytes = 0;
  for (const std::string& flag : flags) {
    bytes += flag.size();
    if (flag.find('\0') != flag.npos || flag.find('\n') != flag.npos) {
      return Malformed(field,
                       fmt::format("mount_flags: expected mount options, found {}", Quoted(flag)));
    }
  }
  if (bytes > kMaxMountFlagsBytes) {
    return Malformed(field, fmt::format("mount_flags: expected at most {} bytes, found {}",
                                        kMaxMountFlagsBytes, bytes));
  }
  if (absl::Status status = CheckMountFlags(flags); !status.ok()) {
    return Malformed(field, fmt::format("mount_flags: {}", std::string(status.message())));
  }
  return flags;
}

}  // namespace

absl::StatusOr<Capability> ParseCapability(std::string_view field,
                                           const VolumeCapability& capability) {
  Capability parsed;
  switch (capability.access_type_case()) {
    case VolumeCapability::ACCESS_TYPE_NOT_SET:
      return Malformed(field, "access_type: expected mount or block, found neither");
    case VolumeCapability::kBlock:
      parsed.content = Content::kBlock;
      break;
    case VolumeCapability::kMount: {
      const VolumeCapability::MountVolume& mount = capability.mount();
      if (!mount.volume_mount_group().empty()) {
        return Malformed(field,
                         "volume_mount_group: expected none, since owners inside a volume "
                         "are not Holdfast's to change; use the pod's fsGroup");
      }
      ASSIGN_OR_RETURN(parsed.content, ParseFilesystem(field, mount.fs_type()));
      ASSIGN_OR_RETURN(parsed.mount_flags, ParseFlags(field, mount));
      break;
    }
  }
  ASSIGN_OR_RETURN(parsed.mode, ParseMode(field, capability));
  return parsed;
}

absl::StatusOr<CapabilityList> ParseCapabilities(std::string_view field,
                                                 const ProtoCapabilities& capabilities) {
  if (capabilities.empty()) return Malformed(field, "expected at least one, found none");
  CapabilityList list;
  for (const VolumeCapability& capability : capabilities) {
    ASSIGN_OR_RETURN(Capability parsed, ParseCapability(field, capability));
    const bool first = list.each.empty();
    if (!first && parsed.block() != list.each.front().block()) {
      return Malformed(field,
                       "expected either block or mount, found both; a raw block volume has "
                       "no filesystem to mount");
    }
    if (list.content && parsed.content && *list.content != *parsed.content) {
      return Malformed(
          field, fmt::format("expected one filesystem, found {} and {}", ContentName(*list.content),
                             ContentName(*parsed.content)));
    }
    if (parsed.content) list.content = parsed.content;
    list.each.push_back(std::move(parsed));
  }
  return list;
}

}  // namespace holdfast
