// One list of what several nodes have.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "engine/storage_nodes.h"

namespace holdfast {

template <typename Item>
struct OnNode {
  Item item;
  const std::string* node;  // of the nodes that were asked
};

// The first `limit` by id of what `ask` says of each engine, which is in that order already. An
// error when one of them cannot be asked: a list that lacks something would say that it is gone.
template <typename Item, typename Ask>
absl::StatusOr<std::vector<OnNode<Item>>> ListOverNodes(
    const std::vector<StorageNodes::Node>& nodes, uint64_t limit, Ask ask) {
  std::vector<OnNode<Item>> all;
  for (const StorageNodes::Node& node : nodes) {
    ASSIGN_OR_RETURN(std::vector<Item> items, ask(*node.engine));
    all.reserve(all.size() + items.size());
    for (Item& item : items) all.push_back({std::move(item), &node.name});
  }
  const auto by_id = [](const OnNode<Item>& a, const OnNode<Item>& b) {
    return a.item.id < b.item.id;
  };
  if (nodes.size() > 1) std::sort(all.begin(), all.end(), by_id);
  if (all.size() > limit) all.erase(all.begin() + static_cast<ptrdiff_t>(limit), all.end());
  return all;
}

}  // namespace holdfast
