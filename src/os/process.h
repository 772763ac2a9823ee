// What the process itself asks of the machine: its name, its environment, its signals.
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"

namespace holdfast {

// gethostname(2), "localhost" when that fails.
std::string HostName();

std::map<std::string, std::string> Environment();

// Makes the folder (0700, one level) when it is missing. FAILED_PRECONDITION, one sentence that
// ends with `remedy`: it cannot be made, is no folder, or nothing can be created in it.
absl::Status EnsureWritableFolder(const std::string& path, const std::string& remedy);

// Keeps up to 2 MiB a thread arena, two arenas at most, instead of giving each buffer of 128 KiB
// back to the kernel: libblkid takes 256 KiB four times a probe, whose page faults cost more than
// the reads (0.6 ms against 0.2). Called before the first thread.
void KeepFreedMemory();

// Lets the calling thread, and those that it starts, run before every ordinary one (SCHED_RR), or
// else as the first of them; where neither is allowed it stays as it is. For little work that must
// not wait.
void PreferThisThread();

// SIGTERM and SIGINT wait for WaitForTermination() from here on, SIGPIPE is ignored. Called first
// thing in main: threads inherit it.
void BlockTerminationSignals();

// Blocks until SIGTERM or SIGINT; "SIGTERM" or "SIGINT". A second one ends the process at once.
std::string WaitForTermination();

}  // namespace holdfast
