// The nodes whose storage a controller may use, each with its engine: this process's own, or those
// whose agents report (agent/registry.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/storage_engine.h"

namespace holdfast {

// Thread-safe.
class StorageNodes {
 public:
  struct Node {
    std::string name;
    std::shared_ptr<StorageEngine> engine;  // never null
    std::vector<PoolStatus> pools;          // in brief, as last reported; empty: ask the engine
  };
  virtual ~StorageNodes() = default;

  // Those that can be asked, by name.
  virtual std::vector<Node> Nodes() = 0;
  // The same for whoever needs them all. UNAVAILABLE: one that may have something cannot be asked.
  virtual absl::StatusOr<std::vector<Node>> AllNodes() = 0;
  // UNAVAILABLE, saying why: a node of that name may be there and cannot be asked now.
  // NOT_FOUND: it was waited for long enough.
  virtual absl::StatusOr<Node> FindNode(std::string_view name) = 0;
  // The node that has the pool now. UNAVAILABLE: none that can be asked, which does not mean that
  // there is none.
  virtual absl::StatusOr<Node> NodeOfPool(std::string_view pool_uuid) = 0;
  // How `to` gets that snapshot of `from`: both are nodes that can be asked.
  virtual absl::StatusOr<CopyOrigin> Grant(const Snapshot& snapshot, const std::string& from,
                                           const std::string& to) = 0;
};

// One node, in this process: it knows of itself which pools it has.
class SingleNode final : public StorageNodes {
 public:
  // `engine` must outlive it.
  SingleNode(std::string name, StorageEngine& engine)
      : node_{std::move(name),
              std::shared_ptr<StorageEngine>(std::shared_ptr<void>(), &engine),
              {}} {}

  std::vector<Node> Nodes() override { return {node_}; }
  absl::StatusOr<std::vector<Node>> AllNodes() override { return Nodes(); }
  absl::StatusOr<Node> FindNode(std::string_view name) override {
    if (name == node_.name) return node_;
    return absl::NotFoundError("another node than this one");
  }
  absl::StatusOr<Node> NodeOfPool(std::string_view) override { return node_; }
  absl::StatusOr<CopyOrigin> Grant(const Snapshot&, const std::string&,
                                   const std::string&) override {
    return absl::FailedPreconditionError("this machine is a node of its own");
  }

 private:
  const Node node_;
};

}  // namespace holdfast
