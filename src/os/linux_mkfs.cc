// Making, renaming and growing filesystems inside images that nobody has mounted.
#include <fmt/format.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "os/btrfs_programs.h"
#include "os/command.h"
#include "os/fd_name.h"
#include "os/linux_host.h"

namespace holdfast {
namespace {

constexpr auto kQuick = std::chrono::minutes(2);
constexpr auto kLong = std::chrono::minutes(30);

// Feature sets are complete and explicit: tools newer than the node's kernel would otherwise make
// filesystems it cannot mount. All of these are mountable by Linux 6.1.
constexpr char kExt4Features[] =
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,metadata_csum,"
    "metadata_csum_seed,sparse_super,large_file,huge_file,dir_nlink,extra_isize";
// mke2fs wants a definition of its type; the machine's mke2fs.conf has no say in ours.
constexpr char kExt4Configuration[] = "[fs_types]\n\text4 = {\n\t\tinode_size = 256\n\t}\n";

absl::Status MakeExt4(const std::string& program, const UniqueFd& image, const std::string& uuid) {
  ASSIGN_OR_RETURN(const UniqueFd configuration, MemoryFile("mke2fs.conf", kExt4Configuration));
  return RunExpectingSuccess(
      {.program = program,
       // The image reads as zeroes, so neither inode tables nor journal need be written: that is
       // what keeps the first allocation of 10 GiB near 4 MiB.
       .arguments = {"-q", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "16384", "-m", "0", "-U",
                     uuid, "-O", kExt4Features, "-E",
                     "nodiscard,assume_storage_prezeroed=1,lazy_itable_init=1", InheritedPath(0)},
       .environment = {"MKE2FS_CONFIG=" + InheritedPath(1)},
       .inherited = {image.get(), configuration.get()},
       .deadline = kQuick});
}

absl::Status MakeXfs(const std::string& program, const UniqueFd& image, const std::string& uuid) {
  return RunExpectingSuccess(
      {.program = program,
       .arguments = {"-q", "-K", "-b", "size=4096", "-s", "size=4096", "-m",
                     "crc=1,finobt=1,rmapbt=0,reflink=1,bigtime=1,inobtcount=1,uuid=" + uuid, "-i",
                     "size=512,sparse=1,nrext64=0", "-n", "ftype=1", InheritedPath(0)},
       .environment = {},
       .inherited = {image.get()},
       .deadline = kQuick});
}

absl::Status MakeBtrfs(const std::string& program, const UniqueFd& image, const std::string& uuid) {
  const Command command{
      .program = program,
      // Metadata twice: one rotten block of a tree can cost the whole filesystem, and the pool
      // below keeps no checksums of it. Data once: its copy would lie on the same disk.
      .arguments = {"-q", "-K", "-s", "4096", "-n", "16384", "-d", "single", "-m", "dup", "--csum",
                    "crc32c", "-O", "^mixed-bg,extref,skinny-metadata,no-holes", "-R",
                    "free-space-tree", "-U", uuid, InheritedPath(0)},
      // It looks for the UUID on all block devices, and would leave the answer in /run.
      .environment = {"BLKID_FILE=/dev/null"},
      .inherited = {image.get()},
      .deadline = kQuick};
  ASSIGN_OR_RETURN(const CommandResult result, RunBtrfs(command));
  return ExpectSuccess(command, result);
}

absl::Status DirtyLog(const UniqueFd& image) {
  return absl::FailedPreconditionError(
      fmt::format("{}: expected an empty log, found one that needs to be replayed; mount it once",
                  FdName(image)));
}

absl::Status RefuseDirtyLog(const UniqueFd& image, const Superblock& superblock) {
  if (superblock.content == Content::kXfs || !superblock.needs_recovery) return absl::OkStatus();
  return DirtyLog(image);
}

}  // namespace

absl::Status LinuxHost::Format(const UniqueFd& image, const FormatOptions& options) {
  ASSIGN_OR_RETURN(const bool has_data, HasData(image));
  if (has_data) {
    return absl::FailedPreconditionError(
        fmt::format("mkfs {}: expected an image without data, found data", FdName(image)));
  }
  absl::Status made;
  switch (options.content) {
    case Content::kExt4:
      made = MakeExt4(programs_.mke2fs, image, options.uuid);
      break;
    case Content::kXfs:
      made = MakeXfs(programs_.mkfs_xfs, image, options.uuid);
      break;
    case Content::kBtrfs:
      made = MakeBtrfs(programs_.mkfs_btrfs, image, options.uuid);
      break;
    case Content::kBlock:
      return absl::InvalidArgumentError("mkfs: a raw block volume has no filesystem");
  }
  return made;
}

absl::Status LinuxHost::SetFilesystemUuid(const UniqueFd& image, Content content,
                                          const std::string& uuid) {
  ASSIGN_OR_RETURN(const std::optional<Superblock> before, Identify(image));
  if (!before.has_value() || before->content != content) {
    return absl::FailedPreconditionError(
        fmt::format("{}: expected {}, found {}", FdName(image), ContentName(content),
                    before.has_value() ? ContentName(before->content) : "nothing"));
  }
  RETURN_IF_ERROR(RefuseDirtyLog(image, *before));
  Command command{.program = "",
                  .arguments = {},
                  .environment = {},
                  .inherited = {image.get()},
                  .deadline = kQuick};
  switch (content) {
    case Content::kExt4:  // with metadata_csum_seed one superblock and its copies
      command.program = programs_.tune2fs;
      command.arguments = {"-U", uuid, InheritedPath(0)};
      break;
    case Content::kXfs:  // what the xfs_admin script does. Exits with 0 even when it refused
      command.program = programs_.xfs_db;
      command.arguments = {"-x", "-c", "uuid " + uuid, InheritedPath(0)};
      break;
    case Content::kBtrfs:  // metadata_uuid: -U would rewrite every block
      command.program = programs_.btrfstune;
      command.arguments = {"-M", uuid, InheritedPath(0)};
      break;
    case Content::kBlock:
      return absl::InvalidArgumentError("UUID: a raw block volume has none");
  }
  ASSIGN_OR_RETURN(const CommandResult result,
                   content == Content::kBtrfs ? RunBtrfs(command) : Run(command));
  // xfs_db says so itself: whether an XFS log is empty cannot be read from the superblock.
  if (result.output.find("valuable metadata changes in a log") != std::string::npos) {
    return DirtyLog(image);
  }
  RETURN_IF_ERROR(ExpectSuccess(command, result));
  RETURN_IF_ERROR(Sync(image));
  ASSIGN_OR_RETURN(const std::optional<Superblock> after, Identify(image));
  if (!after.has_value() || after->uuid != uuid) {
    return absl::InternalError(fmt::format("{} {}: expected UUID {} afterwards, found {}",
                                           command.program, FdName(image), uuid,
                                           after.has_value() ? after->uuid : "nothing"));
  }
  return absl::OkStatus();
}

absl::Status LinuxHost::GrowUnmounted(const UniqueFd& image, Content content) {
  if (content != Content::kExt4) {
    return absl::InvalidArgumentError(
        fmt::format("grow: {} grows while it is mounted", ContentName(content)));
  }
  // -f below would silence "run e2fsck -f first", which resize2fs says whenever the last check is
  // older than the last mount: the check has just been made, and its result is not written.
  RETURN_IF_ERROR(CheckFilesystem(image, content));
  RETURN_IF_ERROR(RunExpectingSuccess({.program = programs_.resize2fs,
                                       .arguments = {"-f", InheritedPath(0)},
                                       .environment = {},
                                       .inherited = {image.get()},
                                       .deadline = kLong}));
  return Sync(image);
}

}  // namespace holdfast
