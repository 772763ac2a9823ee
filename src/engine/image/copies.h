// The copies from other nodes that are under way in this process.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/storage_engine.h"

namespace holdfast {

// Thread-safe.
class Copies {
 public:
  // Of one copy, for as long as it is under way. Must not outlive its Copies.
  class Running {
   public:
    Running(Copies& copies, std::string name) : copies_(copies), name_(std::move(name)) {}
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running();

    void Describe(const Volume& volume);
    void Passed(uint64_t bytes);
    // UNAVAILABLE: the process is about to end, and the copy goes on after its next start.
    absl::Status CheckGoesOn() const;

   private:
    Copies& copies_;
    const std::string name_;
  };

  // Of the volume of that name, which the caller has locked. ABORTED: as many as a disk can feed
  // are under way.
  absl::StatusOr<std::unique_ptr<Running>> Begin(const std::string& name, const CopyOrigin& origin,
                                                 int64_t now_unix_nanos);
  // ABORTED, saying how far it is, while the volume of that name is copied.
  absl::Status CheckNotRunning(const std::string& name) const;
  std::vector<CopyProgress> List() const;
  // Those under way end as soon as they can, and new ones at once.
  void Stop() { stopped_ = true; }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, CopyProgress> running_;  // by the volume's name
  std::atomic<bool> stopped_{false};
};

}  // namespace holdfast
