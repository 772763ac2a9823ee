#include "os/btrfs_programs.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "base/status_macros.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kLongestPause{640};

}  // namespace

bool CouldNotReadMounts(std::string_view output) {
  while (!output.empty()) {
    const std::string_view line = output.substr(0, output.find('\n'));
    // Not in the name of a file, which a check prints too.
    const bool told = line.find("check mount status") != std::string_view::npos;
    if (told && line.starts_with("ERROR: ")) return true;
    output.remove_prefix(std::min(line.size() + 1, output.size()));
  }
  return false;
}

absl::StatusOr<CommandResult> RunBtrfs(const Command& command) {
  for (std::chrono::milliseconds pause{10};; pause *= 2) {
    ASSIGN_OR_RETURN(CommandResult result, Run(command));
    const bool failed = result.signal != 0 || result.exit_code != 0;
    if (!failed || !CouldNotReadMounts(result.output) || pause > kLongestPause) return result;
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace holdfast
