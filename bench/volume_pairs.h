// Creates and deletes of many clients that cost the machine little.
#pragma once

#include <chrono>

#include "absl/status/statusor.h"
#include "bench/driver.h"

namespace holdfast::bench {

// As CallsPerSecond of clients.h, of a create and a delete at a time: kClients clients, each of
// which waits for its answer before it goes on, but all of one thread. With a thread for each a
// fifth of the machine was theirs, which the server, measured on the same machine, then lacked.
absl::StatusOr<double> PairsPerSecond(Driver& driver, const VolumeWish& wish,
                                      std::chrono::milliseconds length);

}  // namespace holdfast::bench
