#include "engine/image/copies.h"

#include <fmt/format.h>

#include "base/sizes.h"

namespace holdfast {
namespace {

constexpr size_t kMostAtOnce = 4;

}  // namespace

Copies::Running::~Running() {
  const std::lock_guard lock(copies_.mutex_);
  copies_.running_.erase(name_);
}

void Copies::Running::Describe(const Volume& volume) {
  const std::lock_guard lock(copies_.mutex_);
  CopyProgress& progress = copies_.running_[name_];
  progress.volume_id = volume.id;
  progress.labels = volume.labels;
  progress.source_id = volume.source.id;
}

void Copies::Running::Passed(uint64_t bytes) {
  const std::lock_guard lock(copies_.mutex_);
  copies_.running_[name_].passed_bytes = bytes;
}

absl::Status Copies::Running::CheckGoesOn() const {
  if (!copies_.stopped_) return absl::OkStatus();
  return absl::UnavailableError(
      "the copy is interrupted, for this node's plugin ends; repeat the call, and it goes on");
}

absl::StatusOr<std::unique_ptr<Copies::Running>> Copies::Begin(const std::string& name,
                                                               const CopyOrigin& origin,
                                                               int64_t now_unix_nanos) {
  const std::lock_guard lock(mutex_);
  if (running_.size() >= kMostAtOnce) {
    return absl::AbortedError(
        fmt::format("{} volumes are being copied to this node already, which is as many as are at "
                    "once; repeat the call",
                    running_.size()));
  }
  running_[name] = {.from_node = origin.node,
                    .total_bytes = origin.snapshot.size_bytes,
                    .started_unix_nanos = now_unix_nanos};
  return std::make_unique<Running>(*this, name);
}

absl::Status Copies::CheckNotRunning(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = running_.find(name);
  if (found == running_.end()) return absl::OkStatus();
  const CopyProgress& progress = found->second;
  return absl::AbortedError(fmt::format(
      "the source is being copied from node {}: {} of {} so far; "
      "repeat the call",
      progress.from_node, FormatBytes(progress.passed_bytes), FormatBytes(progress.total_bytes)));
}

std::vector<CopyProgress> Copies::List() const {
  const std::lock_guard lock(mutex_);
  std::vector<CopyProgress> all;
  for (const auto& [name, progress] : running_) all.push_back(progress);
  return all;
}

}  // namespace holdfast
