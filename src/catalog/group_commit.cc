#include "catalog/group_commit.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace holdfast {

absl::Status GroupCommit::Write(const std::function<absl::Status()>& body, Outlives outlives) {
  Writer writer{.body = body, .outlives = outlives};
  std::unique_lock lock(mutex_);
  waiting_.push_back(&writer);
  if (committing_) {
    writer.turn.wait(lock, [&] { return writer.done || writer.leads; });
    if (writer.done) return writer.status;
  }
  // Nobody commits: this one does, for all who came while the last transaction was flushed.
  committing_ = true;
  const std::vector<Writer*> batch = std::exchange(waiting_, {});
  lock.unlock();
  Commit(batch);
  lock.lock();
  for (Writer* each : batch) {
    each->done = true;
    if (each != &writer) each->turn.notify_one();
  }
  committing_ = !waiting_.empty();
  if (committing_) {
    waiting_.front()->leads = true;
    waiting_.front()->turn.notify_one();
  }
  return writer.status;
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
