// Which system calls change something that outlives the process: files, mounts, loop devices,
// freezes, children. A kill between two of them is a state that recovery must know; a kill between
// any others is the same state.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

// A seccomp filter that reports exactly the calls below to the tracer and lets all others pass at
// full speed. Looks at numbers and plain arguments only: what needs memory or descriptors to be
// told is asked of Mutates.
std::vector<sock_filter> MutatingCallFilter();

// Of a call that the filter reported, in thread `thread`, which is stopped: what it is ("rename",
// "FIFREEZE"), and on what. nullopt: it changes nothing that lasts (a write to a socket, to a pipe
// or to the log; a thread that is made).
std::optional<std::string> Mutates(pid_t thread, uint64_t number, const uint64_t (&arguments)[6]);

}  // namespace holdfast
