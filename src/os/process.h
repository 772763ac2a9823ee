// What the process itself asks of the machine: its name, its environment, its signals.
#pragma once

#include <map>
#include <string>

namespace holdfast {

// gethostname(2), "localhost" when that fails.
std::string HostName();

std::map<std::string, std::string> Environment();

// SIGTERM and SIGINT wait for WaitForTermination() from here on, SIGPIPE is ignored. Called first
// thing in main: threads inherit it.
void BlockTerminationSignals();

// Blocks until SIGTERM or SIGINT; "SIGTERM" or "SIGINT". A second one ends the process at once.
std::string WaitForTermination();

}  // namespace holdfast
