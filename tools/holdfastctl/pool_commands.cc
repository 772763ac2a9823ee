// holdfastctl pool init | status
#include <ostream>

#include "base/sizes.h"
#include "base/status_macros.h"
#include "ctl.h"
#include "engine/image/pool.h"
#include "engine/image/space_meter.h"
#include "fmt/format.h"
#include "text.h"

namespace holdfast::ctl {
namespace {

nlohmann::ordered_json StatusJson(const PoolStatus& status) {
  return {{"name", status.name},
          {"uuid", status.uuid},
          {"path", status.path},
          {"filesystem", status.filesystem},
          {"refusal", status.refusal},
          {"size_bytes", status.space.size_bytes},
          {"free_bytes", status.space.free_bytes},
          {"owed_bytes", status.space.owed_bytes},
          {"floor_bytes", status.space.floor_bytes},
          {"trash_bytes", status.space.trash_bytes},
          {"volumes", status.volumes},
          {"snapshots", status.snapshots},
          {"trash_entries", status.trash_entries}};
}

// What a next volume can still be promised.
uint64_t Spare(const PoolSpace& space) {
  return SaturatingSubtract(space.free_bytes, space.owed_bytes + space.floor_bytes);
}

void PrintStatuses(const std::vector<PoolStatus>& statuses, std::ostream& out) {
  Table table({"NAME", "PATH", "FILESYSTEM", "SIZE", "FREE", "OWED", "FLOOR", "SPARE", "TRASH",
               "VOLUMES", "SNAPSHOTS", "STATE"});
  for (const PoolStatus& status : statuses) {
    const PoolSpace& space = status.space;
    table.Add({Printable(status.name), Printable(status.path), Printable(status.filesystem),
               FormatBytes(space.size_bytes), FormatBytes(space.free_bytes),
               FormatBytes(space.owed_bytes), FormatBytes(space.floor_bytes),
               FormatBytes(Spare(space)),
               fmt::format("{} ({})", FormatBytes(space.trash_bytes), status.trash_entries),
               std::to_string(status.volumes), std::to_string(status.snapshots),
               status.refusal.empty() ? "ok" : "refused"});
  }
  table.Print(out);
}

}  // namespace

absl::Status InitPoolCommand(const Request& request, Surroundings& surroundings) {
  const std::string& path = request.pools.front();
  ASSIGN_OR_RETURN(PoolIdentity pool, InitPool(surroundings.host, path, request.name));
  if (request.json) {
    const nlohmann::ordered_json json = {{"name", pool.name}, {"uuid", pool.uuid}, {"path", path}};
    PrintJson(json, surroundings.out);
  } else {
    surroundings.out << fmt::format("made pool {} ({}) in {}\n", pool.name, pool.uuid, path);
  }
  return absl::OkStatus();
}

absl::Status PoolStatusCommand(const Request& request, Surroundings& surroundings) {
  std::vector<PoolStatus> statuses;
  for (const std::string& path : request.pools) {
    statuses.push_back(MeasurePoolReadOnly(surroundings.host, path));
  }
  if (request.json) {
    nlohmann::ordered_json json = {{"pools", nlohmann::ordered_json::array()}};
    for (const PoolStatus& status : statuses) json["pools"].push_back(StatusJson(status));
    PrintJson(json, surroundings.out);
  } else {
    PrintStatuses(statuses, surroundings.out);
  }
  std::string refusals;
  for (const PoolStatus& status : statuses) {
    if (status.refusal.empty()) continue;
    refusals += (refusals.empty() ? "" : "\n") + status.refusal;
  }
  return refusals.empty() ? absl::OkStatus() : absl::FailedPreconditionError(refusals);
}

}  // namespace holdfast::ctl
