// Child programs: no shell, no PATH, no inherited descriptors but the ones named.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "os/unique_fd.h"

namespace holdfast {

struct Command {
  std::string program;  // absolute
  std::vector<std::string> arguments;
  // Beside LC_ALL=C, "NAME=value". Nothing of our own environment is passed on.
  std::vector<std::string> environment;
  // Inherited as descriptors 3, 4, …: name them in arguments by InheritedPath(0), (1), ….
  std::vector<int> inherited;
  std::chrono::milliseconds deadline{60'000};
};

struct CommandResult {
  int exit_code = 0;   // valid when signal is 0
  int signal = 0;      // that killed it
  std::string output;  // stdout and stderr as they came, the first kMaxOutputBytes
};

inline constexpr size_t kMaxOutputBytes = 64 * 1024;

// "/proc/self/fd/3": the program opens the file anew, with its own access mode and offset.
std::string InheritedPath(int index);

// Runs it to its end. DEADLINE_EXCEEDED when it outlived its deadline: it is killed and reaped
// first. Any exit code or signal is a result, not an error.
absl::StatusOr<CommandResult> Run(const Command& command);

// Anything other than exit code 0 is INTERNAL, or UNAVAILABLE when it was killed, with the last
// line of its output.
absl::Status ExpectSuccess(const Command& command, const CommandResult& result);
absl::Status RunExpectingSuccess(const Command& command);

// A descriptor of an anonymous file with these contents, to be inherited as configuration.
absl::StatusOr<UniqueFd> MemoryFile(const std::string& name, const std::string& contents);

}  // namespace holdfast
