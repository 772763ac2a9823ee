// Mount tables: garbage does not harm, and what the kernel writes of a mount is read as it is.
#include <fuzzer/FuzzedDataProvider.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "fmt/format.h"
#include "os/mount_table.h"
#include "tests/fuzz/property.h"

namespace holdfast {
namespace {

absl::StatusOr<std::vector<MountEntry>> Read(std::string_view text) {
  static const int file = memfd_create("mountinfo", MFD_CLOEXEC);
  Require(file >= 0 && ftruncate(file, 0) == 0, "a file in memory");
  Require(pwrite(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()),
          "the file is written");
  return ReadMountTable(fmt::format("/proc/self/fd/{}", file));
}

// As the kernel writes paths (seq_path, mangle).
std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    const bool special = c == ' ' || c == '\t' || c == '\n' || c == '\\' || c == '#';
    escaped += special ? fmt::format("\\{:03o}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  return escaped;
}

// A path as a volume's target or an image's folder can be; no NUL can be in one.
std::string Path(FuzzedDataProvider& input) {
  std::string path = "/" + input.ConsumeRandomLengthString(40);
  for (char& c : path) {
    if (c == '\0') c = '_';
  }
  // libmount takes marks that the kernel appends away.
  return path.ends_with("deleted") || path.ends_with("(deleted)") ? path + "_" : path;
}

void CheckWhole(FuzzedDataProvider& input) {
  std::vector<MountEntry> mounts;
  std::string text;
  const auto count = input.ConsumeIntegralInRange<int>(0, 4);
  for (int i = 0; i < count; ++i) {
    const unsigned major = input.ConsumeIntegralInRange<unsigned>(0, 4095);
    const unsigned minor = input.ConsumeIntegralInRange<unsigned>(0, 1 << 19);
    MountEntry mount;
    mount.id = 100 + i;
    mount.target = Path(input);
    mount.root = Path(input);
    mount.type = input.ConsumeBool() ? "ext4" : "btrfs";
    mount.source = Path(input);
    mount.device = makedev(major, minor);
    mount.read_only = input.ConsumeBool();
    mount.filesystem_read_only = input.ConsumeBool();
    text += fmt::format("{} 1 {}:{} {} {} {},nosuid,relatime shared:7 - {} {} {},data=ordered\n",
                        mount.id, major, minor, Escaped(mount.root), Escaped(mount.target),
                        mount.read_only ? "ro" : "rw", mount.type, Escaped(mount.source),
                        mount.filesystem_read_only ? "ro" : "rw");
    mounts.push_back(mount);
  }
  const auto read = Read(text);
  Require(read.ok(), "the kernel's table is read");
  Require(read->size() == mounts.size(), "every mount is in the table");
  for (size_t i = 0; i < mounts.size(); ++i) {
    const MountEntry &is = (*read)[i], &was = mounts[i];
    Require(is.id == was.id && is.device == was.device && is.type == was.type,
            "id, device and type are the mount's");
    Require(is.target == was.target, "the target is the mount's, whatever bytes are in it");
    Require(is.root == was.root, "the root is the mount's");
    Require(is.source == was.source, "the source is the mount's");
    Require(is.read_only == was.read_only, "whether the mount is read-only");
    Require(is.filesystem_read_only == was.filesystem_read_only,
            "whether the filesystem is read-only");
  }
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  if (size == 0) return 0;
  if ((data[0] & 1) != 0) {
    FuzzedDataProvider input(data + 1, size - 1);
    CheckWhole(input);
    return 0;
  }
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto read = Read(text);
  if (read.ok()) {
    const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
    Require(read->size() <= lines, "a line is one mount at most");
  }
  return 0;
}
