#include "tests/powercut/recording.h"

#include <filesystem>
#include <thread>

#include <fmt/format.h>

#include "base/sizes.h"
#include "base/status_macros.h"
#include "tests/powercut/attached.h"
#include "tests/powercut/churn.h"
#include "tests/powercut/writer.h"

namespace holdfast::powercut {
namespace {

constexpr uint64_t kPoolBytes = 8 * kGiB;
constexpr uint64_t kWriterBlockBytes = 32 * kMiB;
// Creates and deletes until SQLite writes its log over again: while the log still grows, each
// commit of it makes XFS flush its own log, and with it what a missing fsync would have lost.
constexpr int kWarmUps = 40;

}  // namespace

Recording::Recording(const RecordingOptions& options) : options_(options), disk_(kPoolBytes) {}

absl::StatusOr<std::unique_ptr<Recording>> Recording::Make(const std::string& folder,
                                                           const RecordingOptions& options) {
  std::unique_ptr<Recording> recording(new Recording(options));
  RETURN_IF_ERROR(recording->Run(folder));
  return recording;
}

absl::Status Recording::Run(const std::string& folder) {
  PoolDisk pool(disk_, folder);
  RETURN_IF_ERROR(pool.status());
  RETURN_IF_ERROR(pool.Format(options_.pool));
  RETURN_IF_ERROR(pool.Mount(options_.pool));
  pool_path_ = pool.path();
  RETURN_IF_ERROR(
      RunProgram({ProgramPath("holdfastctl"), "pool", "init", pool_path_, "--name", "main"}));
  if (const absl::Status served = Serve(folder, pool); !served.ok()) {
    ReleaseBelow(folder, {pool.path(), folder + "/fuse"}, pool.loop());
    return served;
  }
  return pool.Unmount();
}

absl::Status Recording::Serve(const std::string& folder, PoolDisk& pool) {
  DriverProcess driver(folder, {pool.path()});
  if (!options_.program.empty()) driver.set_program(options_.program);
  if (!driver.Start()) return absl::InternalError("the driver does not start: " + driver.Log());
  calls_ = std::make_unique<Calls>(driver.socket(), driver.kubelet());
  absl::Status done = MakeWriters();
  if (done.ok()) done = Work();
  const absl::Status put_away = PutAway();
  if (driver.Stop() != 0 && done.ok()) done = absl::InternalError("the driver did not stop");
  calls_.reset();
  return done.ok() ? put_away : done;
}

absl::Status Recording::MakeWriters() {
  for (int i = 0; i < kWarmUps; ++i) {
    ASSIGN_OR_RETURN(
        const Made made,
        calls_->Create({.name = "warm-up", .bytes = SmallestBytes(Content::kBlock), .thin = true}));
    RETURN_IF_ERROR(calls_->Delete(made.id));
  }
  for (size_t i = 0; i < Ledger::kWriters; ++i) {
    const Content content = kWriterContents[i];
    const uint64_t bytes = content == Content::kBlock ? kWriterBlockBytes : SmallestBytes(content);
    Object& object = ledger_.Add({.name = fmt::format("writer-{}", ContentName(content))});
    ASSIGN_OR_RETURN(const Made made,
                     calls_->Create({.name = object.name, .content = content, .bytes = bytes}));
    object.id = made.id;
    object.events.push_back(
        {{.begun = 0, .acked = 0}, Facts{.content = content, .size_bytes = made.bytes}});
    writers_[i] = {.object = &object, .id = made.id, .target = ""};
    ASSIGN_OR_RETURN(writers_[i].target, calls_->Show(made.id, content));
  }
  return absl::OkStatus();
}

absl::Status Recording::Work() {
  if (options_.load == Load::kOneDelete) return DeleteOne();
  disk_.Record();
  deadline_ = std::chrono::steady_clock::now() + options_.length;
  if (options_.load == Load::kCalls) {
    Churn(*this, 0, {0, 1, 2, 3}).Run();
  } else {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < Ledger::kWriters; ++i) {
      threads.emplace_back([this, i] { Writer(*this, i).Run(); });
    }
    threads.emplace_back([this] { Churn(*this, 0, {0, 1}).Run(); });
    threads.emplace_back([this] { Churn(*this, 1, {2, 3}).Run(); });
  }
  end_ = disk_.Position();
  return failure_;
}

absl::Status Recording::DeleteOne() {
  Churn churn(*this, 0, {});
  RETURN_IF_ERROR(churn.CreateFresh());
  disk_.Record();
  RETURN_IF_ERROR(churn.DeleteVolume());
  end_ = disk_.Position();
  return absl::OkStatus();
}

absl::Status Recording::PutAway() {
  absl::Status first;
  for (const Shown& writer : writers_) {
    if (writer.id.empty()) continue;
    const absl::Status away = calls_->PutAway(writer.id);
    if (first.ok()) first = away;
  }
  return first;
}

void Recording::Fail(const absl::Status& status) {
  const std::lock_guard lock(mutex_);
  if (failure_.ok()) failure_ = status;
  failed_ = true;
}

bool Recording::Over() const { return failed_ || std::chrono::steady_clock::now() >= deadline_; }

std::vector<size_t> Recording::CallAcks() const {
  std::vector<size_t> acks;
  for (const auto& object : ledger_.objects()) {
    for (const auto& event : object->events) {
      if (event.span.acked > 0 && event.span.acked <= end_) acks.push_back(event.span.acked);
    }
  }
  return acks;
}

std::string Recording::Summary() const {
  return fmt::format(
      "{} pool: {} log entries ({} flushes, {} MiB), {} calls and {} writes acknowledged, {} calls "
      "refused",
      PoolKindName(options_.pool), end_, disk_.FlushesBefore(end_),
      disk_.PagesWritten() * LoggedDisk::kPageBytes / kMiB, CallAcks().size(),
      ledger_.AckedWrites(), refused_.load());
}

}  // namespace holdfast::powercut
