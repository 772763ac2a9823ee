#include "tests/load/lists.h"

#include <map>
#include <vector>

#include "fmt/format.h"
#include "tests/integration/pool_space.h"
#include "tests/load/calls.h"

namespace holdfast::load {
namespace {

struct Entries {
  std::map<int, Answer> by_slot;
  std::string last_id;
};

// An entry of a page: of a slot, in the order of ids, whole.
void Take(const std::string& id, int slot, const Answer& entry, Entries& entries,
          ListAnswer& answer) {
  if (slot == kNone) answer.wrong = "an entry that is nobody's: " + id;
  if (!entry.wrong.empty()) answer.wrong = entry.wrong;
  if (id <= entries.last_id) answer.wrong = "entries that are not in the order of their ids";
  entries.last_id = id;
  entries.by_slot[slot] = entry;
}

// All pages; every token is used.
template <typename Request, typename Body>
void ReadPages(CsiClient& client, Request request, int page, ListAnswer& answer, const Body& body) {
  request.set_max_entries(page);
  do {
    const auto response = client.Call(request);
    ++answer.requests;
    answer.code = response.status().code();
    if (!response.ok()) {
      answer.wrong = response.status().ToString();
      return;
    }
    if (page > 0 && response->entries_size() > page) answer.wrong = "a page larger than asked for";
    for (const auto& entry : response->entries()) body(entry);
    request.set_starting_token(response->next_token());
  } while (!request.starting_token().empty() && answer.wrong.empty());
}

std::string Differs(const char* what, int slot, bool listed, bool exists) {
  return fmt::format("{} {} is {}, expected it {}", what, slot,
                     listed ? "listed (or with other properties)" : "not listed",
                     exists ? "listed as it is" : "absent");
}

}  // namespace

ListAnswer CheckVolumes(CsiClient& client, const Site& site, const Ledger& ledger, int page) {
  ListAnswer answer;
  Entries entries;
  const Ledger::Watch watch = ledger.BeginList();
  ReadPages(client, csi::v1::ListVolumesRequest(), page, answer, [&](const auto& entry) {
    const std::string& id = entry.volume().volume_id();
    const int slot = site.SlotOf(id);
    Take(id, slot, slot == kNone ? Answer{} : ReadVolume(site, entry.volume(), slot), entries,
         answer);
  });
  std::vector<ObjectKey> keys;
  const World known = ledger.StableSince(watch, &keys);
  for (const ObjectKey& key : keys) {
    if (key.snapshot || !answer.wrong.empty()) continue;
    ++answer.compared;
    const auto listed = entries.by_slot.find(key.slot);
    const auto volume = known.volumes.find(key.slot);
    const bool is_listed = listed != entries.by_slot.end(), exists = volume != known.volumes.end();
    const bool same =
        is_listed == exists &&
        (!exists || (listed->second.capacity_bytes == volume->second.capacity_bytes &&
                     listed->second.source_volume == volume->second.source_volume &&
                     listed->second.source_snapshot == volume->second.source_snapshot));
    if (!same) answer.wrong = Differs("volume", key.slot, is_listed, exists);
  }
  return answer;
}

ListAnswer CheckSnapshots(CsiClient& client, const Site& site, const Ledger& ledger, int page,
                          int of_volume) {
  ListAnswer answer;
  Entries entries;
  const Ledger::Watch watch = ledger.BeginList();
  csi::v1::ListSnapshotsRequest request;
  if (of_volume != kNone) request.set_source_volume_id(site.VolumeId(of_volume));
  ReadPages(client, request, page, answer, [&](const auto& entry) {
    const std::string& id = entry.snapshot().snapshot_id();
    const int slot = site.SlotOf(id);
    Take(id, slot, slot == kNone ? Answer{} : ReadSnapshot(site, entry.snapshot(), slot), entries,
         answer);
    if (of_volume != kNone && entry.snapshot().source_volume_id() != site.VolumeId(of_volume)) {
      answer.wrong = "a snapshot of another volume than was asked for";
    }
  });
  std::vector<ObjectKey> keys;
  const World known = ledger.StableSince(watch, &keys);
  for (const ObjectKey& key : keys) {
    if (!key.snapshot || !answer.wrong.empty()) continue;
    ++answer.compared;
    const auto listed = entries.by_slot.find(key.slot);
    const auto found = known.snapshots.find(key.slot);
    const bool exists =
        found != known.snapshots.end() && (of_volume == kNone || found->second.volume == of_volume);
    const bool is_listed = listed != entries.by_slot.end();
    const bool same = is_listed == exists &&
                      (!exists || (listed->second.capacity_bytes == found->second.size_bytes &&
                                   listed->second.source_volume == found->second.volume &&
                                   listed->second.created_nanos == found->second.created_nanos));
    if (!same) answer.wrong = Differs("snapshot", key.slot, is_listed, exists);
  }
  return answer;
}

ListAnswer CheckCapacity(CsiClient& client, const Site& site, int pool, Content content,
                         bool quiet) {
  csi::v1::GetCapacityRequest request;
  auto* capability = request.add_volume_capabilities();
  capability->mutable_access_mode()->set_mode(Terms().mode);
  if (content == Content::kBlock) {
    capability->mutable_block();
  } else {
    capability->mutable_mount()->set_fs_type(ContentName(content));
  }
  (*request.mutable_parameters())["pool"] = site.pool(pool).name;
  // The pool's own space is asked for first and afterwards: the same twice means that nothing
  // moved.
  const PoolSpace before = quiet ? SpaceOf(site.pool(pool).path) : PoolSpace{};
  ListAnswer answer{.requests = 1};
  const auto response = client.Call(request);
  answer.code = response.status().code();
  if (!response.ok()) {
    answer.wrong = response.status().ToString();
    return answer;
  }
  const auto available = static_cast<uint64_t>(response->available_capacity());
  const auto maximum = static_cast<uint64_t>(response->maximum_volume_size().value());
  const auto minimum = static_cast<uint64_t>(response->minimum_volume_size().value());
  if (minimum != SizeFor(1, content)) answer.wrong = fmt::format("minimum {}", minimum);
  if (maximum != available) answer.wrong = fmt::format("maximum {} of {}", maximum, available);
  if (available == 0 || available >= site.pool(pool).size_bytes) {
    answer.wrong =
        fmt::format("{} available of a pool of {}", available, site.pool(pool).size_bytes);
  }
  if (!quiet) return answer;
  const PoolSpace after = SpaceOf(site.pool(pool).path);
  // What a volume of V takes of the floor comes on top of V: one in a hundred on XFS, one in eight
  // on btrfs (docs/pools.md); both are rounded to blocks.
  const uint64_t divisor = pool == 0 ? 100 : 8;
  const auto largest = [&](const PoolSpace& space) {
    return (space.free_bytes - space.owed_bytes - space.floor_bytes) / (divisor + 1) * divisor;
  };
  const uint64_t low = std::min(largest(before), largest(after));
  const uint64_t high = std::max(largest(before), largest(after));
  constexpr uint64_t kRounding = 64 * 4096;
  if (available + kRounding < low || available > high + kRounding) {
    answer.wrong = fmt::format("{} available, expected {} to {}", available, low, high);
  }
  answer.compared = 1;
  return answer;
}

}  // namespace holdfast::load
