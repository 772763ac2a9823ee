#include "os/mount_table.h"

#include <fmt/format.h>
#include <libmount/libmount.h>
#include <linux/major.h>
#include <sys/sysmacros.h>

#include <memory>

namespace holdfast {
namespace {

std::string Text(const char* text) { return text == nullptr ? "" : text; }

bool Has(const char* options, const char* name) {
  return options != nullptr && mnt_optstr_get_option(options, name, nullptr, nullptr) == 0;
}

bool IsReadOnly(const char* options) {
  // "emergency_ro": what ext4 is called after an error since Linux 6.15, still beside "rw".
  return Has(options, "ro") || Has(options, "emergency_ro");
}

// The kernel prints nothing for a strict one.
const char* AtimeName(const char* options) {
  if (Has(options, "noatime")) return "noatime";
  return Has(options, "relatime") ? "relatime" : "strictatime";
}

MountEntry Convert(libmnt_fs* entry) {
  MountEntry result;
  result.id = mnt_fs_get_id(entry);
  result.parent_id = mnt_fs_get_parent_id(entry);
  result.target = Text(mnt_fs_get_target(entry));
  result.root = Text(mnt_fs_get_root(entry));
  result.type = Text(mnt_fs_get_fstype(entry));
  result.source = Text(mnt_fs_get_source(entry));
  result.device = mnt_fs_get_devno(entry);
  const char* of_mount = mnt_fs_get_vfs_options(entry);
  result.read_only = IsReadOnly(of_mount);
  result.no_exec = Has(of_mount, "noexec");
  result.no_dir_atime = Has(of_mount, "nodiratime");
  result.atime = AtimeName(of_mount);
  result.filesystem_read_only = IsReadOnly(mnt_fs_get_fs_options(entry));
  result.options = Text(mnt_fs_get_fs_options(entry));
  return result;
}

}  // namespace

absl::StatusOr<std::vector<MountEntry>> ReadMountTable(const std::string& path) {
  // Tables and iterators belong to this call alone: libmount keeps nothing between calls.
  const std::unique_ptr<libmnt_table, decltype(&mnt_unref_table)> table(mnt_new_table(),
                                                                        mnt_unref_table);
  const std::unique_ptr<libmnt_iter, decltype(&mnt_free_iter)> iterator(
      mnt_new_iter(MNT_ITER_FORWARD), mnt_free_iter);
  if (table == nullptr || iterator == nullptr) {
    return absl::UnavailableError("mount table: out of memory");
  }
  if (const int result = mnt_table_parse_file(table.get(), path.c_str()); result != 0) {
    return absl::InternalError(fmt::format("mount table {}: cannot be read ({})", path, result));
  }
  std::vector<MountEntry> entries;
  libmnt_fs* entry = nullptr;
  while (mnt_table_next_fs(table.get(), iterator.get(), &entry) == 0) {
    entries.push_back(Convert(entry));
  }
  return entries;
}

bool ShowsLoop(const MountEntry& entry, const Loop& loop) {
  if (entry.device == loop.device) return true;
  // btrfs has a device number of its own.
  if (entry.type == "btrfs") return entry.source == loop.path;
  const std::string node = fmt::format("/loop{}", loop.number);
  // libmount leaves the kernel's mark on a node that was removed and made anew.
  return entry.type == "devtmpfs" && (entry.root == node || entry.root == node + "//deleted");
}

bool ShowsAnyLoop(const MountEntry& entry) {
  if (major(entry.device) == LOOP_MAJOR) return true;
  return entry.type == "btrfs" && entry.source.rfind("/dev/loop", 0) == 0;
}

}  // namespace holdfast
