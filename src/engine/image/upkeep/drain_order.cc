#include "engine/image/upkeep/drain_order.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/status_macros.h"
#include "engine/image/upkeep/pool_view.h"

namespace holdfast {
namespace {

// The kernel prints mountinfo in the order in which mounts were made: the stage of a filesystem is
// its first, targets are clones of it. A block volume's stage is its loop device alone.
void AddMounts(const std::vector<MountEntry>& mounts, const std::string& detail,
               DrainOrder& order) {
  bool first = true;
  for (const MountEntry& mount : mounts) {
    const bool stage = first && mount.type != "devtmpfs";
    first = false;
    DrainStep step{.object = mount.target, .detail = detail, .held_by = {}, .command = {}};
    step.command = "umount " + ShellWord(mount.target);
    (stage ? order.stages : order.targets).push_back(std::move(step));
  }
}

std::string DetailOf(const PoolLoop& loop, const FileClaims& claims,
                     const std::vector<Volume>& volumes) {
  const auto incarnation = IncarnationOf(loop.name);
  const FileClaim* claim = incarnation ? claims.OfIncarnation(*incarnation) : nullptr;
  if (claim == nullptr || loop.folder != claim->Folder()) {
    return loop.Path() + (loop.deleted ? " (deleted)" : "");
  }
  for (const Volume& volume : volumes) {
    if (volume.id != claim->id) continue;
    const bool block = volume.content == Content::kBlock;
    return fmt::format("{} of {}", block ? "raw block" : ContentName(volume.content), volume.id);
  }
  return claim->id + (claim->trashed ? " in the trash" : "");
}

}  // namespace

std::string ShellWord(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("/._-~:@%+,=").find(c) != std::string_view::npos;
  });
  if (plain && text.front() != '~') return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

absl::StatusOr<DrainOrder> PlanDrain(const Pool& pool) {
  ASSIGN_OR_RETURN(const auto files, ListPoolFiles(pool));
  ASSIGN_OR_RETURN(const auto loops, ListPoolLoops(pool, files));
  ASSIGN_OR_RETURN(const FileClaims claims, FileClaims::Read(*pool.catalog));
  ASSIGN_OR_RETURN(const auto volumes, pool.catalog->AllVolumes());
  DrainOrder order;
  // By what is on them: their numbers are chance, and the same pool is told the same way twice.
  std::multimap<std::string, Loop> by_detail;
  for (const PoolLoop& loop : loops) {
    by_detail.emplace(DetailOf(loop, claims, volumes), loop.loop);
  }
  for (const auto& [detail, loop] : by_detail) {
    ASSIGN_OR_RETURN(const auto mounts, pool.host.MountsOf(loop));
    AddMounts(mounts, detail, order);
    ASSIGN_OR_RETURN(const auto holders, pool.host.HoldersOf(loop));
    order.loops.push_back({.object = loop.path,
                           .detail = detail,
                           .held_by = fmt::format("{}", fmt::join(holders, ", ")),
                           .command = loop.autoclear ? "" : "losetup --detach " + loop.path});
  }
  for (auto* steps : {&order.targets, &order.stages, &order.loops}) {
    std::reverse(steps->begin(), steps->end());
  }
  ASSIGN_OR_RETURN(const FolderPlace place, pool.host.PlaceOf(pool.root));
  order.pool.push_back({.object = place.mount.target,
                        .detail = fmt::format("{} of pool {}", place.mount.type, pool.name()),
                        .held_by = {},
                        .command = "umount " + ShellWord(place.mount.target)});
  ASSIGN_OR_RETURN(const auto all, pool.host.AllLoops());
  for (const Loop& loop : all) {
    if (loop.path != place.mount.source) continue;
    order.pool.push_back({.object = loop.path,
                          .detail = "disk of pool " + pool.name(),
                          .held_by = {},
                          .command = loop.autoclear ? "" : "losetup --detach " + loop.path});
  }
  return order;
}

}  // namespace holdfast
