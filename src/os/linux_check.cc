// Full read-only checks. Exit codes are bit masks, and only 0 is healthy.
#include <fmt/format.h>

#include <chrono>
#include <string>
#include <string_view>

#include "base/status_macros.h"
#include "os/btrfs_programs.h"
#include "os/command.h"
#include "os/fd_name.h"
#include "os/linux_host.h"

namespace holdfast {
namespace {

constexpr auto kCheckLimit = std::chrono::minutes(30);

constexpr int kE2fsckErrorsLeft = 4;

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// Headings and progress: what a check says of a healthy filesystem too.
bool IsProgress(std::string_view line) {
  for (const std::string_view start :
       {"e2fsck 1", "Pass ", "Warning: skipping journal", "Phase ", "        - ", "Cannot get host",
        "Repair may fail", "the image and", "No modify flag set", "[", "Opening filesystem",
        "Checking filesystem", "UUID: "}) {
    if (line.substr(0, start.size()) == start) return true;
  }
  return line.find_first_not_of(" \t") == std::string_view::npos;
}

std::string FirstFinding(std::string_view output) {
  while (!output.empty()) {
    const size_t end = std::min(output.find('\n'), output.size());
    const std::string_view line = output.substr(0, end);
    if (!IsProgress(line)) return std::string(line);
    output.remove_prefix(std::min(end + 1, output.size()));
  }
  return "no further words";
}

// Whether the check could not judge, as opposed to having found something.
bool CouldNotRun(Content content, const CommandResult& result) {
  if (result.signal != 0) return true;
  if (Contains(result.output, "annot allocate memory") || Contains(result.output, "ut of memory") ||
      Contains(result.output, "memory allocation failed")) {
    return true;
  }
  if (content == Content::kBtrfs && CouldNotReadMounts(result.output)) return true;
  // 8 operational, 16 usage, 32 canceled, 128 library. Errors found beside them count as found.
  if (content == Content::kExt4) return (result.exit_code & kE2fsckErrorsLeft) == 0;
  return result.exit_code != 1;
}

}  // namespace

absl::Status LinuxHost::CheckFilesystem(const UniqueFd& image, Content content) {
  // A damaged superblock makes e2fsck end with 8 ("operational error"), which is not what it is.
  ASSIGN_OR_RETURN(const std::optional<Superblock> superblock, Identify(image));
  if (!superblock.has_value() || superblock->content != content) {
    return absl::DataLossError(
        fmt::format("check of {}: expected {}, found {}", FdName(image), ContentName(content),
                    superblock.has_value() ? ContentName(superblock->content) : "nothing"));
  }
  Command command{.program = "",
                  .arguments = {},
                  .environment = {},
                  .inherited = {image.get()},
                  .deadline = kCheckLimit};
  switch (content) {
    case Content::kExt4:
      command.program = programs_.e2fsck;
      command.arguments = {"-fn", InheritedPath(0)};
      command.environment = {"E2FSCK_CONFIG=/dev/null"};
      break;
    case Content::kXfs:
      command.program = programs_.xfs_repair;
      command.arguments = {"-n", "-f", InheritedPath(0)};
      break;
    case Content::kBtrfs:
      command.program = programs_.btrfs;
      command.arguments = {"check", "--readonly", InheritedPath(0)};
      break;
    case Content::kBlock:
      return absl::InvalidArgumentError("check: a raw block volume has no filesystem");
  }
  const absl::StatusOr<CommandResult> result =
      content == Content::kBtrfs ? RunBtrfs(command) : Run(command);
  if (!result.ok()) return absl::UnavailableError(std::string(result.status().message()));
  // Judged with its log unplayed a filesystem looks damaged that is not.
  if ((content != Content::kXfs && superblock->needs_recovery) ||
      Contains(result->output, "valuable metadata changes in a log")) {
    return absl::FailedPreconditionError(
        fmt::format("check of {}: expected an empty log, found one to be replayed; mount it once",
                    FdName(image)));
  }
  if (result->signal == 0 && result->exit_code == 0) return absl::OkStatus();
  if (CouldNotRun(content, *result)) {
    return absl::UnavailableError(fmt::format(
        "{} {}: could not check (exit code {}, signal {}): {}", command.program, FdName(image),
        result->exit_code, result->signal, FirstFinding(result->output)));
  }
  return absl::DataLossError(
      fmt::format("{} {}: {}", command.program, FdName(image), FirstFinding(result->output)));
}

}  // namespace holdfast
