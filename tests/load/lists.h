// The calls whose answers are about all objects: lists and capacity.
#pragma once

#include <cstdint>
#include <string>

#include "tests/integration/csi_client.h"
#include "tests/load/ledger.h"
#include "tests/load/site.h"

namespace holdfast::load {

// How each is asked; the answer's objects that nobody could have changed meanwhile are compared
// with what is known. `compared` counts them.
struct ListAnswer {
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string wrong;  // empty: all is as it must be
  uint64_t compared = 0;
  int requests = 0;  // pages
};

// Pages of `page` entries, 0: all at once.
ListAnswer CheckVolumes(CsiClient& client, const Site& site, const Ledger& ledger, int page);
// Of one volume, or of all (kNone).
ListAnswer CheckSnapshots(CsiClient& client, const Site& site, const Ledger& ledger, int page,
                          int of_volume);
// `quiet`: nobody else calls, so the answer is exact: what the pool's own numbers, counted by
// holdfastctl, leave. Else it lies between nothing and the whole pool.
ListAnswer CheckCapacity(CsiClient& client, const Site& site, int pool, Content content,
                         bool quiet);

}  // namespace holdfast::load
