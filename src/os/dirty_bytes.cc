// What waits in the page cache to be written, of the machine and of loop devices.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "os/errno_status.h"
#include "os/linux_host.h"
#include "os/small_file.h"

namespace holdfast {
namespace {

// Of lines as "Dirty:  128 kB"; nullopt unless both are there.
std::optional<uint64_t> SumOfKilobytes(absl::string_view text, absl::string_view first,
                                       absl::string_view second) {
  uint64_t kilobytes = 0;
  int found = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, first) && !absl::ConsumePrefix(&line, second)) continue;
    line = absl::StripSuffix(line, "kB");
    uint64_t number = 0;
    if (!absl::SimpleAtoi(line, &number)) return std::nullopt;
    kilobytes += number;
    ++found;
  }
  if (found != 2) return std::nullopt;
  return kilobytes * kKiB;
}

std::optional<uint64_t> DirtyBytesOf(const UniqueFd& debugfs, uint64_t device) {
  const std::string folder = fmt::format("bdi/{}:{}", major(device), minor(device));
  // It came when "stats" began to count all control groups (Linux 6.10).
  if (faccessat(debugfs.get(), (folder + "/wb_stats").c_str(), F_OK, 0) != 0) return std::nullopt;
  const auto stats = ReadSmallFile(fmt::format("/proc/self/fd/{}/{}/stats", debugfs.get(), folder));
  if (!stats.has_value()) return std::nullopt;
  return SumOfKilobytes(*stats, "BdiWriteback:", "BdiReclaimable:");
}

}  // namespace

absl::StatusOr<uint64_t> LinuxHost::MachineDirtyBytes() {
  const auto text = ReadSmallFile("/proc/meminfo");
  if (!text.has_value()) return ErrnoStatus(errno, "read", "/proc/meminfo");
  const auto bytes = SumOfKilobytes(*text, "Dirty:", "Writeback:");
  if (bytes.has_value()) return *bytes;
  return absl::InternalError("/proc/meminfo: expected Dirty and Writeback in kB, found neither");
}

absl::StatusOr<uint64_t> LinuxHost::DirtyBytes(const std::vector<Loop>& loops) {
  ASSIGN_OR_RETURN(const uint64_t machine, MachineDirtyBytes());
  uint64_t bytes = 0;
  for (const Loop& loop : loops) {
    const auto one = debugfs_.valid() ? DirtyBytesOf(debugfs_, loop.device) : std::nullopt;
    bytes += one.value_or(machine);
  }
  return std::min(bytes, machine);
}

}  // namespace holdfast
