#include "tests/powercut/writer.h"

#include <thread>

namespace holdfast::powercut {
namespace {

constexpr uint64_t kBlocks = 256;
constexpr uint64_t kFiles = 24;

}  // namespace

Writer::Writer(Recording& recording, size_t index)
    : recording_(recording),
      index_(index),
      history_(recording.ledger_.CellsOf(index)),
      cells_(index, recording.writers_[index].target, kWriterContents[index] == Content::kBlock),
      random_(recording.options_.seed * 31 + index) {}

void Writer::Run() {
  while (!recording_.Over()) {
    if (const absl::Status status = Step(); !status.ok()) return recording_.Fail(status);
    // Silence now and then: a flush of a neighbour's would make everything on the disk last.
    const uint64_t pause = Below(40) == 0 ? 100 + Below(300) : 1 + Below(6);
    std::this_thread::sleep_for(std::chrono::milliseconds(pause));
  }
}

absl::Status Writer::Step() {
  ++version_;
  const bool device = kWriterContents[index_] == Content::kBlock;
  if (device || version_ == 1 || Below(2) == 0) return WriteBlocks();
  if (Below(3) == 0) {
    return Promise({Cells::kRenamed}, version_, [&] { return cells_.ReplaceRenamed(version_); });
  }
  return ChangeFile();
}

absl::Status Writer::WriteBlocks() {
  const uint64_t first = Below(kBlocks - 4), count = 1 + Below(4);
  std::vector<std::string> cells;
  for (uint64_t i = first; i < first + count; ++i) cells.push_back(Cells::BlockName(i));
  const bool data_only = version_ > 1 && Below(2) == 0;
  return Promise(cells, version_,
                 [&] { return cells_.WriteBlocks(first, count, version_, data_only); });
}

absl::Status Writer::ChangeFile() {
  const uint64_t index = Below(kFiles);
  const std::string cell = Cells::FileName(index);
  const auto found = history_.find(cell);
  const bool there = found != history_.end() && found->second.events.back().version != 0;
  if (there) return Promise({cell}, 0, [&] { return cells_.RemoveFile(index); });
  return Promise({cell}, version_, [&] { return cells_.WriteFile(index, version_); });
}

absl::Status Writer::Promise(const std::vector<std::string>& cells, uint64_t version,
                             const std::function<absl::Status()>& write) {
  const Span begun{.begun = recording_.disk_.Position()};
  for (const std::string& cell : cells) history_[cell].events.push_back({begun, version});
  const absl::Status written = write();
  const size_t acked = recording_.disk_.Position();
  if (!written.ok()) return written;
  for (const std::string& cell : cells) history_[cell].events.back().span.acked = acked;
  return absl::OkStatus();
}

}  // namespace holdfast::powercut
