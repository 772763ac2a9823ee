// The calls of kubelet and the sidecars, in one line each.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "tests/integration/csi_client.h"
#include "volume/volume.h"

namespace holdfast::powercut {

struct Asked {
  std::string name;
  Content content = Content::kBlock;
  uint64_t bytes = 0;  // 0: the source's
  bool thin = false;
  std::string snapshot_id = {}, volume_id = {};  // where it comes from
};

struct Made {
  std::string id;
  uint64_t bytes = 0;
};

class Calls {
 public:
  Calls(const std::string& socket, std::string kubelet)
      : csi_(socket), kubelet_(std::move(kubelet)) {}

  absl::StatusOr<Made> Create(const Asked& asked);
  absl::Status Delete(const std::string& volume);
  absl::StatusOr<uint64_t> Expand(const std::string& volume, Content content, uint64_t bytes);
  absl::Status ExpandOnNode(const std::string& volume, uint64_t bytes);
  absl::StatusOr<Made> Snapshot(const std::string& volume, const std::string& name);
  absl::Status DeleteSnapshot(const std::string& snapshot);
  // Staged and published; the answer is the target's path.
  absl::StatusOr<std::string> Show(const std::string& volume, Content content);
  absl::Status PutAway(const std::string& volume);

  CsiClient& csi() { return csi_; }

 private:
  std::string StagingPath(const std::string& volume) const;
  std::string TargetPath(const std::string& volume) const;

  CsiClient csi_;
  const std::string kubelet_;
};

uint64_t SmallestBytes(Content content);

}  // namespace holdfast::powercut
