#include "controller/placement.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/build_info.h"
#include "base/status_macros.h"
#include "fmt/format.h"
#include "volume/ids.h"

namespace holdfast {
namespace {

using Node = StorageNodes::Node;

uint64_t MostFree(const Node& node) {
  uint64_t most = 0;
  for (const PoolStatus& pool : node.pools) most = std::max(most, pool.space.free_bytes);
  return most;
}

// Those that may be and were not preferred.
std::vector<Node> Others(StorageNodes& nodes, const NodeChoice& choice) {
  std::vector<Node> others = nodes.Nodes();
  const std::set<std::string> preferred(choice.preferred.begin(), choice.preferred.end());
  std::erase_if(others, [&](const Node& node) {
    return preferred.contains(node.name) || !choice.Allows(node.name);
  });
  std::stable_sort(others.begin(), others.end(),
                   [](const Node& a, const Node& b) { return MostFree(a) > MostFree(b); });
  return others;
}

// Why there is no node to ask: some will be there soon, no node has such a pool, or none may be.
absl::Status NoCandidate(StorageNodes& nodes, const NodeChoice& choice, const std::string& pool) {
  for (const std::string& name : choice.requisite) {
    const absl::Status found = nodes.FindNode(name).status();
    if (absl::IsUnavailable(found)) return found;
  }
  const std::vector<Node> all = nodes.Nodes();
  if (all.empty()) {
    return absl::UnavailableError(
        "no node's agent has reported yet; are the holdfast-node pods running?");
  }
  if (std::none_of(all.begin(), all.end(), [&](const Node& node) { return HasPool(node, pool); })) {
    return absl::InvalidArgumentError(fmt::format(
        "parameters: expected in 'pool' the name of a pool that a node has, found '{}'; "
        "'holdfastctl cluster status' lists them",
        pool));
  }
  return absl::ResourceExhaustedError(fmt::format(
      "accessibility_requirements: expected {}={} among the requisite topologies, found {} others; "
      "volumes are made on nodes with a pool of the class only",
      kNodeTopologyKey, all.size() == 1 ? all.front().name : "a node with such a pool",
      choice.requisite.size()));
}

absl::Status NotWhereItIs(const Node& from, const NodeChoice& choice) {
  return absl::ResourceExhaustedError(
      fmt::format("accessibility_requirements: expected {}={}, where the source is, or another "
                  "node with a pool "
                  "of the class among the requisite topologies, found {} others",
                  kNodeTopologyKey, from.name, choice.requisite.size()));
}

// The first that has room.
class Attempts {
 public:
  explicit Attempts(const std::string& pool) : pool_(pool) {}

  // Whether that is the answer; else the next node is to be tried.
  bool On(const Node& node, const VolumeRequest& request) {
    if (!HasPool(node, pool_)) return false;
    absl::StatusOr<Volume> volume = node.engine->CreateVolume(request);
    if (!volume.ok()) return Take(volume.status());
    answer_ = PlacedVolume{*std::move(volume), node.name};
    return true;
  }
  bool Take(const absl::Status& failed) {
    answer_ = failed;
    return !absl::IsResourceExhausted(failed);
  }
  bool any() const { return answer_.has_value(); }
  absl::StatusOr<PlacedVolume> answer() { return *std::move(answer_); }

 private:
  const std::string& pool_;
  std::optional<absl::StatusOr<PlacedVolume>> answer_;
};

// The node of `candidates` that has a volume of that name: what is free, and so the order of the
// nodes, may have changed since. One that cannot be asked now does not keep the others from being
// used.
const Node* HolderOf(const std::string& name, const std::vector<Node>& candidates) {
  for (const Node& node : candidates) {
    for (const PoolStatus& pool : node.pools) {
      if (pool.uuid.empty()) continue;
      const auto found = node.engine->FindVolume(MakeId(ObjectKind::kVolume, pool.uuid, name));
      if (found.ok() && found->has_value()) return &node;
    }
  }
  return nullptr;
}

// Best first. `away`: a preferred node cannot be asked now, and nothing less preferred is tried.
struct Candidates {
  std::vector<Node> nodes;
  absl::Status away;
};

Candidates FindCandidates(StorageNodes& nodes, const NodeChoice& choice) {
  Candidates found;
  for (const std::string& name : choice.preferred) {
    absl::StatusOr<Node> node = nodes.FindNode(name);
    if (node.ok()) found.nodes.push_back(*std::move(node));
    if (!absl::IsUnavailable(node.status())) continue;
    found.away = node.status();
    return found;
  }
  for (Node& node : Others(nodes, choice)) found.nodes.push_back(std::move(node));
  return found;
}

absl::StatusOr<PlacedVolume> CreateEmpty(StorageNodes& nodes, const NodeChoice& choice,
                                         const VolumeRequest& request) {
  const Candidates candidates = FindCandidates(nodes, choice);
  Attempts attempts(request.parameters.pool);
  if (candidates.nodes.size() > 1) {
    if (const Node* holder = HolderOf(request.name, candidates.nodes)) {
      attempts.On(*holder, request);
      if (attempts.any()) return attempts.answer();
    }
  }
  for (const Node& node : candidates.nodes) {
    if (attempts.On(node, request)) return attempts.answer();
  }
  if (!candidates.away.ok()) return candidates.away;
  if (attempts.any()) return attempts.answer();
  return NoCandidate(nodes, choice, request.parameters.pool);
}

// A volume is copied from a cut of it, which is made for that and deleted afterwards.
std::string NameOfCut(const VolumeRequest& request) { return "holdfast-copy-" + request.name; }

absl::StatusOr<Snapshot> SnapshotToCopy(const Node& from, const VolumeRequest& request) {
  const Source& source = request.source;
  if (source.kind == Source::Kind::kVolume) {
    return from.engine->CreateSnapshot(NameOfCut(request), source.id);
  }
  ASSIGN_OR_RETURN(const auto found, from.engine->FindSnapshot(source.id));
  if (found) return *found;
  return absl::NotFoundError(fmt::format("no snapshot {}", Quoted(source.id)));
}

// Whether something of the copy may still be under way.
bool MayGoOn(const absl::Status& status) {
  return absl::IsAborted(status) || absl::IsUnavailable(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

// On the first of `candidates` that has room, all of them other nodes than `from`.
void CopyTo(StorageNodes& nodes, const Node& from, const std::vector<Node>& candidates,
            VolumeRequest request, Attempts& attempts) {
  const absl::StatusOr<Snapshot> snapshot = SnapshotToCopy(from, request);
  if (!snapshot.ok()) {
    attempts.Take(snapshot.status());
    return;
  }
  for (const Node& node : candidates) {
    if (!HasPool(node, request.parameters.pool)) continue;
    const auto origin = nodes.Grant(*snapshot, from.name, node.name);
    if (!origin.ok()) {
      attempts.Take(origin.status());
      return;
    }
    request.origin = *origin;
    if (attempts.On(node, request)) return;
  }
}

// A cut that was made for a copy has done its work. That it cannot be deleted now is not worth the
// volume: it is in the lists for whoever looks.
void DropCut(const Node& from, std::string_view pool_uuid, const VolumeRequest& request) {
  if (request.source.kind != Source::Kind::kVolume) return;
  from.engine->DeleteSnapshot(MakeId(ObjectKind::kSnapshot, pool_uuid, NameOfCut(request)))
      .IgnoreError();
}

absl::StatusOr<PlacedVolume> CreateFromSource(StorageNodes& nodes, const NodeChoice& choice,
                                              const VolumeRequest& request) {
  const std::optional<ParsedId> id = ParseId(request.source.id);
  if (!id) {
    return absl::NotFoundError(fmt::format(
        "no {} {}", request.source.kind == Source::Kind::kSnapshot ? "snapshot" : "volume",
        Quoted(request.source.id)));
  }
  ASSIGN_OR_RETURN(const Node from, nodes.NodeOfPool(id->pool_uuid));
  Candidates others = FindCandidates(nodes, choice);
  std::erase_if(others.nodes, [&](const Node& node) { return node.name == from.name; });
  Attempts attempts(request.parameters.pool);
  if (const Node* holder = HolderOf(request.name, others.nodes)) {
    attempts.On(*holder, request);  // it is there, or says what differs
  } else {
    if (choice.Allows(from.name) && attempts.On(from, request)) return attempts.answer();
    if (others.nodes.empty() && attempts.any()) return attempts.answer();
    if (others.nodes.empty()) return others.away.ok() ? NotWhereItIs(from, choice) : others.away;
    CopyTo(nodes, from, others.nodes, request, attempts);
  }
  absl::StatusOr<PlacedVolume> answer =
      attempts.any() ? attempts.answer() : NotWhereItIs(from, choice);
  if (!MayGoOn(answer.status())) DropCut(from, id->pool_uuid, request);
  return answer;
}

}  // namespace

bool HasPool(const StorageNodes::Node& node, const std::string& name) {
  // A node that tells its pools to nobody is asked.
  if (name.empty() || node.pools.empty()) return true;
  return std::any_of(node.pools.begin(), node.pools.end(), [&](const PoolStatus& pool) {
    return pool.name == name && pool.refusal.empty();
  });
}

absl::StatusOr<PlacedVolume> CreateSomewhere(StorageNodes& nodes, const NodeChoice& choice,
                                             const VolumeRequest& request) {
  const bool empty = request.source.kind == Source::Kind::kNone;
  return empty ? CreateEmpty(nodes, choice, request) : CreateFromSource(nodes, choice, request);
}

}  // namespace holdfast
