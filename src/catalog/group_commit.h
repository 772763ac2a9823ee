// Writers that meet share one transaction, and so one fsync.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "catalog/catalog.h"
#include "catalog/database.h"

namespace holdfast {

// Thread-safe. `database_mutex` is held while a transaction runs.
class GroupCommit {
 public:
  GroupCommit(Database& database, std::mutex& database_mutex)
      : database_(database), database_mutex_(database_mutex) {}

  // As Database::Write. `body` may run more than once: what it shares a transaction with may fail,
  // and takes nobody with it.
  absl::Status Write(const std::function<absl::Status()>& body, Outlives outlives);

 private:
  struct Writer {
    const std::function<absl::Status()>& body;
    Outlives outlives;
    absl::Status status = absl::OkStatus();
    bool done = false;  // else, when it is its turn, it commits for all who wait
    // Its own, and without the mutex that all share: who is woken has nothing to wait for.
    absl::Notification turn = {};
  };
  // True when the writer is to commit, for all who came while the last transaction was flushed;
  // false when somebody has done it.
  bool BeginOrWait(Writer& writer);
  void Commit(const std::vector<Writer*>& batch);

  Database& database_;
  std::mutex& database_mutex_;

  std::mutex mutex_;
  std::vector<Writer*> waiting_;
  bool committing_ = false;
};

}  // namespace holdfast
