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

// The first that has room.
class Attempts {
 public:
  explicit Attempts(const VolumeRequest& request) : request_(request) {}

  // Whether that is the answer; else the next node is to be tried.
  bool On(const Node& node) {
    if (!HasPool(node, request_.parameters.pool)) return false;
    absl::StatusOr<Volume> volume = node.engine->CreateVolume(request_);
    if (!volume.ok()) {
      answer_ = volume.status();
      return !absl::IsResourceExhausted(volume.status());
    }
    answer_ = PlacedVolume{*std::move(volume), node.name};
    return true;
  }
  bool any() const { return answer_.has_value(); }
  absl::StatusOr<PlacedVolume> answer() { return *std::move(answer_); }

 private:
  const VolumeRequest& request_;
  std::optional<absl::StatusOr<PlacedVolume>> answer_;
};

absl::StatusOr<PlacedVolume> CreateCopy(StorageNodes& nodes, const NodeChoice& choice,
                                        const VolumeRequest& request) {
  const std::optional<ParsedId> id = ParseId(request.source.id);
  if (!id) {
    return absl::NotFoundError(fmt::format(
        "no {} {}", request.source.kind == Source::Kind::kSnapshot ? "snapshot" : "volume",
        Quoted(request.source.id)));
  }
  ASSIGN_OR_RETURN(const Node node, nodes.NodeOfPool(id->pool_uuid));
  if (!choice.Allows(node.name)) {
    return absl::ResourceExhaustedError(fmt::format(
        "accessibility_requirements: expected {}={}, where the source is, among the requisite "
        "topologies, found {} others; copies are made on the node of their source only",
        kNodeTopologyKey, node.name, choice.requisite.size()));
  }
  ASSIGN_OR_RETURN(Volume volume, node.engine->CreateVolume(request));
  return PlacedVolume{std::move(volume), node.name};
}

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
  if (request.source.kind != Source::Kind::kNone) return CreateCopy(nodes, choice, request);
  std::vector<Node> candidates;
  absl::Status away;  // of a preferred node, before which nothing less preferred is tried
  for (const std::string& name : choice.preferred) {
    absl::StatusOr<Node> node = nodes.FindNode(name);
    if (node.ok()) candidates.push_back(*std::move(node));
    if (!absl::IsUnavailable(node.status())) continue;
    away = node.status();
    break;
  }
  if (away.ok()) {
    for (Node& node : Others(nodes, choice)) candidates.push_back(std::move(node));
  }
  Attempts attempts(request);
  if (const Node* holder = candidates.size() > 1 ? HolderOf(request.name, candidates) : nullptr) {
    attempts.On(*holder);
    if (attempts.any()) return attempts.answer();
  }
  for (const Node& node : candidates) {
    if (attempts.On(node)) return attempts.answer();
  }
  if (!away.ok()) return away;
  if (attempts.any()) return attempts.answer();
  return NoCandidate(nodes, choice, request.parameters.pool);
}

}  // namespace holdfast
