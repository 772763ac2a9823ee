#include "catalog/group_commit.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace holdfast {

absl::Status GroupCommit::Write(const std::function<absl::Status()>& body, Outlives outlives) {
  Writer writer{.body = body, .outlives = outlives};
  if (!BeginOrWait(writer)) return writer.status;
  std::vector<Writer*> batch;
  {
    const std::lock_guard lock(mutex_);
    batch.swap(waiting_);
  }
  Commit(batch);
  Writer* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!waiting_.empty()) next = waiting_.front();
    committing_ = next != nullptr;
  }
  if (next != nullptr) next->turn.Notify();
  for (Writer* each : batch) {
    if (each == &writer) continue;
    each->done = true;
    each->turn.Notify();
  }
  return writer.status;
}

bool GroupCommit::BeginOrWait(Writer& writer) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(&writer);
    if (!std::exchange(committing_, true)) return true;
  }
  writer.turn.WaitForNotification();
  return !writer.done;
}

void GroupCommit::Commit(const std::vector<Writer*>& batch) {
  const std::lock_guard lock(database_mutex_);
  if (batch.size() > 1) {
    const bool durable = std::any_of(batch.begin(), batch.end(), [](const Writer* writer) {
      return writer->outlives == Outlives::kPowerCut;
    });
    const auto all = [&]() -> absl::Status {
      for (const Writer* writer : batch) RETURN_IF_ERROR(writer->body());
      return absl::OkStatus();
    };
    if (database_.Write(all, durable ? Outlives::kPowerCut : Outlives::kProcess).ok()) return;
  }
  for (Writer* writer : batch) writer->status = database_.Write(writer->body, writer->outlives);
}

}  // namespace holdfast
