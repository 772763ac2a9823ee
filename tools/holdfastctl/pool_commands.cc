// holdfastctl pool init | status
#include <algorithm>
#include <cctype>
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
          {"trash_entries", status.trash_entries},
          {"overcommit", status.overcommit},
          {"watermark", WatermarkName(status.watermark)},
          {"stop_line_bytes", status.stop_line_bytes},
          {"stop_reserve_bytes", status.space.stop_reserve_bytes},
          {"ballast_bytes", status.ballast_bytes},
          {"stopped_volumes", status.stopped_volumes}};
}

// What a next volume can still be promised.
uint64_t Spare(const PoolSpace& space) {
  return SaturatingSubtract(space.free_bytes,
                            space.owed_bytes + space.floor_bytes + space.stop_reserve_bytes);
}

// "holdfast" of "/srv/holdfast/".
std::string FolderName(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

// Classes, metrics and tables carry it.
absl::Status CheckPoolName(const std::string& name) {
  const bool fits = !name.empty() && name.size() <= 63 &&
                    std::all_of(name.begin(), name.end(), [](unsigned char c) {
                      return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
                    });
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("--name: expected 1 to 63 letters, digits, '-', '_' or '.', found '{}'",
                  Printable(name.substr(0, 64))));
}

// "ok", "refused", or of an overcommitted pool "ok", "low", "stop (2 stopped)", …
std::string StateOf(const PoolStatus& status) {
  if (!status.refusal.empty()) return "refused";
  std::string state = WatermarkName(status.watermark);
  if (status.stopped_volumes > 0) state += fmt::format(" ({} stopped)", status.stopped_volumes);
  return state;
}

void PrintStatuses(const std::vector<PoolStatus>& statuses, std::ostream& out) {
  Table table({"NAME", "PATH", "FILESYSTEM", "SIZE", "FREE", "OWED", "FLOOR", "SPARE", "TRASH",
               "VOLUMES", "SNAPSHOTS", "OVERCOMMIT", "STATE"});
  for (const PoolStatus& status : statuses) {
    const PoolSpace& space = status.space;
    std::vector<std::string> row = {Printable(status.name), Printable(status.path),
                                    Printable(status.filesystem)};
    if (status.refusal.empty()) {
      for (const uint64_t bytes : {space.size_bytes, space.free_bytes, space.owed_bytes,
                                   space.floor_bytes, Spare(space)}) {
        row.push_back(FormatBytes(bytes));
      }
      row.push_back(fmt::format("{} ({})", FormatBytes(space.trash_bytes), status.trash_entries));
      row.push_back(std::to_string(status.volumes));
      row.push_back(std::to_string(status.snapshots));
      row.push_back(status.overcommit ? "yes" : "no");
    } else {
      row.insert(row.end(), 9, "-");
    }
    row.push_back(StateOf(status));
    table.Add(std::move(row));
  }
  table.Print(out);
}

}  // namespace

absl::Status InitPoolCommand(const Request& request, Surroundings& surroundings) {
  const std::string& path = request.pools.front();
  const std::string name = request.name.empty() ? FolderName(path) : request.name;
  RETURN_IF_ERROR(CheckPoolName(name));
  ASSIGN_OR_RETURN(Host * host, surroundings.host());
  ASSIGN_OR_RETURN(PoolIdentity pool, InitPool(*host, path, name, request.overcommit == "on"));
  if (request.json) {
    const nlohmann::ordered_json json = {{"name", pool.name}, {"uuid", pool.uuid}, {"path", path}};
    PrintJson(json, surroundings.out);
  } else {
    surroundings.out << fmt::format("made pool {} ({}) in {}\n", pool.name, pool.uuid, path);
  }
  return absl::OkStatus();
}

absl::Status SetPoolCommand(const Request& request, Surroundings& surroundings) {
  ASSIGN_OR_RETURN(Host * host, surroundings.host());
  for (const std::string& path : request.pools) {
    RETURN_IF_ERROR(SetPoolOvercommit(*host, path, request.overcommit == "on"));
    if (!request.json) {
      surroundings.out << fmt::format("pool {}: overcommit is {}\n", path, request.overcommit);
    }
  }
  if (request.json) PrintJson({{"overcommit", request.overcommit == "on"}}, surroundings.out);
  return absl::OkStatus();
}

absl::Status PoolStatusCommand(const Request& request, Surroundings& surroundings) {
  ASSIGN_OR_RETURN(Host * host, surroundings.host());
  std::vector<PoolStatus> statuses;
  for (const std::string& path : request.pools) {
    statuses.push_back(MeasurePoolReadOnly(*host, path));
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
