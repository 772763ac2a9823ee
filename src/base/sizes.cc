#include "base/sizes.h"

#include <array>
#include <utility>

#include <fmt/format.h>

namespace holdfast {

std::string FormatBytes(uint64_t bytes) {
  constexpr std::array<std::pair<uint64_t, const char*>, 4> kUnits = {
      {{kTiB, "TiB"}, {kGiB, "GiB"}, {kMiB, "MiB"}, {kKiB, "KiB"}}};
  for (const auto& [unit, name] : kUnits) {
    if (bytes < unit) continue;
    if (bytes % unit == 0) return fmt::format("{} {}", bytes / unit, name);
    return fmt::format("{:.1f} {}", static_cast<double>(bytes) / static_cast<double>(unit), name);
  }
  return fmt::format("{} B", bytes);
}

}  // namespace holdfast
