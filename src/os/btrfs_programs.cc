#include "os/btrfs_programs.h"

#include <chrono>
#include <thread>

#include "base/status_macros.h"

namespace holdfast {
namespace {

constexpr std::chrono::milliseconds kLongestPause{640};

}  // namespace

bool CouldNotReadMounts(std::string_view output) {
  return output.find("check mount status") != std::string_view::npos;
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
