// Two opinions on what filesystem an image holds.
#include <blkid/blkid.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <memory>
#include <string>

#include "base/status_macros.h"
#include "os/fd_name.h"
#include "os/linux_host.h"
#include "os/superblock.h"

namespace holdfast {
namespace {

struct Opinion {
  std::string type, uuid;
};

std::string Value(blkid_probe probe, const char* name) {
  const char* data = nullptr;
  return blkid_probe_lookup_value(probe, name, &data, nullptr) == 0 ? data : "";
}

// Where we found a filesystem, libblkid is asked for that kind alone: further in, and at the end of
// a device, a workload's data can look like a member of a RAID or a backup of something else, and
// must not make its volume unusable. Two of ours in one image, and anything before the superblock,
// are told by ParseSuperblock. Where we found nothing it is asked for all that it knows but ZFS:
// its labels are 1 MiB to read at both ends, more than of all others together.
absl::StatusOr<std::optional<Opinion>> AskBlkid(const UniqueFd& image,
                                                const std::optional<Superblock>& ours) {
  const std::unique_ptr<blkid_struct_probe, decltype(&blkid_free_probe)> probe(blkid_new_probe(),
                                                                               blkid_free_probe);
  if (probe == nullptr) return absl::UnavailableError("libblkid: out of memory");
  std::string name = ours ? ContentName(ours->content) : "zfs_member";
  char* names[] = {name.data(), nullptr};
  const int filter = ours ? BLKID_FLTR_ONLYIN : BLKID_FLTR_NOTIN;
  if (blkid_probe_set_device(probe.get(), image.get(), 0, 0) != 0 ||
      blkid_probe_enable_superblocks(probe.get(), 1) != 0 ||
      blkid_probe_filter_superblocks_type(probe.get(), filter, names) != 0 ||
      blkid_probe_set_superblocks_flags(probe.get(), BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID) != 0) {
    return absl::InternalError(fmt::format("libblkid: {} cannot be probed", FdName(image)));
  }
  switch (const int answer = blkid_do_safeprobe(probe.get()); answer) {
    case 0:
      return std::optional<Opinion>(
          Opinion{Value(probe.get(), "TYPE"), Value(probe.get(), "UUID")});
    case 1:
      return std::optional<Opinion>();
    case -2:
      return absl::DataLossError("libblkid finds more than one filesystem in it");
    default:
      return absl::DataLossError(fmt::format("libblkid cannot read it ({})", answer));
  }
}

std::string Text(const std::optional<Superblock>& superblock) {
  if (!superblock.has_value()) return "nothing";
  return fmt::format("{} {}", ContentName(superblock->content), superblock->uuid);
}

std::string Text(const std::optional<Opinion>& opinion) {
  return opinion.has_value() ? fmt::format("{} {}", opinion->type, opinion->uuid) : "nothing";
}

}  // namespace

absl::StatusOr<std::optional<Superblock>> LinuxHost::Identify(const UniqueFd& image) {
  ASSIGN_OR_RETURN(const FileFacts facts, Describe(image));
  // As libblkid does for its own reads: what lies around them is nobody's next read.
  posix_fadvise(image.get(), 0, 0, POSIX_FADV_RANDOM);
  const absl::StatusOr<std::string> region = Read(image, 0, kSuperblockRegionBytes);
  if (!region.ok()) {
    return absl::DataLossError(fmt::format("superblock: expected to be read, found {}",
                                           std::string(region.status().message())));
  }
  ASSIGN_OR_RETURN(std::optional<Superblock> ours, ParseSuperblock(*region));
  ASSIGN_OR_RETURN(const std::optional<Opinion> theirs, AskBlkid(image, ours));
  if (Text(ours) != Text(theirs)) {
    return absl::DataLossError(fmt::format(
        "superblock: expected two readers to agree, found {} by our own and {} by libblkid",
        Text(ours), Text(theirs)));
  }
  if (ours.has_value() && ours->size_bytes > facts.size_bytes) {
    return absl::DataLossError(
        fmt::format("superblock: expected a filesystem of at most the image's {} bytes, found {}",
                    facts.size_bytes, ours->size_bytes));
  }
  return ours;
}

}  // namespace holdfast
