#include "tests/fakes/fake_disk.h"

#include <algorithm>

#include <fmt/format.h>
#include "base/sizes.h"
#include "base/status_macros.h"

namespace holdfast {
namespace {

absl::Status NoSpace(const char* call) {
  return absl::ResourceExhaustedError(fmt::format("{}: No space left on device", call));
}

uint64_t BlocksUpTo(uint64_t bytes) { return RoundUp(bytes, kBlockBytes) / kBlockBytes; }

}  // namespace

FakeDisk::FakeDisk(uint64_t size_bytes, Like like) : size_bytes_(size_bytes), like_(like) {
  // Physical block 0 is never handed out: FIEMAP gives it for extents without a place.
  free_[1] = size_bytes / kBlockBytes;
}

FakeDisk::FileId FakeDisk::Create() {
  files_[next_id_];
  return next_id_++;
}

void FakeDisk::Delete(FileId id) {
  File& file = files_.at(id);
  for (const auto& [logical, run] : file.runs) Release(run.physical, run.length);
  files_.erase(id);
}

// --- Runs of a file -----------------------------------------------------------------------------

void FakeDisk::SplitRuns(Runs& runs, uint64_t logical) {
  auto it = runs.upper_bound(logical);
  if (it == runs.begin()) return;
  --it;
  const uint64_t before = logical - it->first;
  if (before == 0 || before >= it->second.length) return;
  Run rest = it->second;
  rest.physical += before;
  rest.length -= before;
  it->second.length = before;
  runs[logical] = rest;
}

FakeDisk::Runs::const_iterator FakeDisk::RunAt(const Runs& runs, uint64_t logical) {
  auto it = runs.upper_bound(logical);
  if (it == runs.begin()) return runs.end();
  --it;
  return logical < it->first + it->second.length ? it : runs.end();
}

uint64_t FakeDisk::HolesBetween(const Runs& runs, uint64_t from, uint64_t to) const {
  uint64_t covered = 0;
  auto it = RunAt(runs, from);
  if (it == runs.end()) it = runs.lower_bound(from);
  for (; it != runs.end() && it->first < to; ++it) {
    covered += std::min(to, it->first + it->second.length) - std::max(from, it->first);
  }
  return to - from - covered;
}

uint64_t FakeDisk::BlocksToWrite(const Runs& runs, uint64_t from, uint64_t to) const {
  uint64_t needed = HolesBetween(runs, from, to);
  for (uint64_t at = from; at < to;) {
    auto it = RunAt(runs, at);
    if (it == runs.end()) {
      it = runs.upper_bound(at);
      if (it == runs.end()) break;
      at = it->first;
      continue;
    }
    const uint64_t within = at - it->first;
    const References references = ReferencesAt(it->second.physical + within);
    const uint64_t length = std::min({to - at, it->second.length - within, references.length});
    if (references.count > 1) needed += length;
    at += length;
  }
  return needed;
}

void FakeDisk::InsertNew(Runs& runs, uint64_t logical, uint64_t blocks, bool unwritten) {
  for (const auto& [physical, length] : Allocate(blocks)) {
    Reference(physical, length);
    runs[logical] = {physical, length, unwritten};
    logical += length;
  }
}

void FakeDisk::Unshare(Runs& runs, uint64_t logical, uint64_t blocks) {
  SplitRuns(runs, logical);
  SplitRuns(runs, logical + blocks);
  const Run old = runs.at(logical);
  runs.erase(logical);
  InsertNew(runs, logical, blocks, /*unwritten=*/false);
  for (uint64_t i = 0; i < blocks; ++i) {
    const auto content = contents_.find(old.physical + i);
    if (content == contents_.end()) continue;
    const auto run = RunAt(runs, logical + i);
    contents_[run->second.physical + (logical + i - run->first)] = content->second;
  }
  Release(old.physical, old.length);
}

void FakeDisk::EraseRange(Runs& runs, uint64_t from, uint64_t to) {
  if (from >= to) return;
  SplitRuns(runs, from);
  SplitRuns(runs, to);
  for (auto it = runs.lower_bound(from); it != runs.end() && it->first < to;) {
    Release(it->second.physical, it->second.length);
    it = runs.erase(it);
  }
}

// --- Physical blocks ----------------------------------------------------------------------------

void FakeDisk::SplitReferences(uint64_t physical) {
  auto it = references_.upper_bound(physical);
  if (it == references_.begin()) return;
  --it;
  const uint64_t before = physical - it->first;
  if (before == 0 || before >= it->second.length) return;
  const References rest{it->second.length - before, it->second.count};
  it->second.length = before;
  references_[physical] = rest;
}

FakeDisk::References FakeDisk::ReferencesAt(uint64_t physical) const {
  auto it = std::prev(references_.upper_bound(physical));
  return {it->second.length - (physical - it->first), it->second.count};
}

void FakeDisk::Reference(uint64_t physical, uint64_t length) {
  SplitReferences(physical);
  SplitReferences(physical + length);
  auto it = references_.lower_bound(physical);
  if (it == references_.end() || it->first >= physical + length) {
    references_[physical] = {length, 1};  // fresh blocks: nothing of the range is referenced yet
    return;
  }
  for (; it != references_.end() && it->first < physical + length; ++it) ++it->second.count;
}

void FakeDisk::Release(uint64_t physical, uint64_t length) {
  SplitReferences(physical);
  SplitReferences(physical + length);
  for (auto it = references_.lower_bound(physical);
       it != references_.end() && it->first < physical + length;) {
    if (--it->second.count > 0) {
      ++it;
      continue;
    }
    contents_.erase(contents_.lower_bound(it->first),
                    contents_.lower_bound(it->first + it->second.length));
    if (like_ == Like::kBtrfs) {
      freed_.emplace_back(it->first, it->second.length);
    } else {
      AddFree(it->first, it->second.length);
    }
    it = references_.erase(it);
  }
}

void FakeDisk::Grow(uint64_t size_bytes) {
  const uint64_t before = size_bytes_ / kBlockBytes, after = size_bytes / kBlockBytes;
  if (after <= before) return;
  size_bytes_ = size_bytes;
  AddFree(before + 1, after - before);  // block 0 is never handed out
}

void FakeDisk::AddFree(uint64_t physical, uint64_t length) {
  auto next = free_.lower_bound(physical);
  if (next != free_.end() && physical + length == next->first) {
    length += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    auto previous = std::prev(next);
    if (previous->first + previous->second == physical) {
      previous->second += length;
      return;
    }
  }
  free_[physical] = length;
}

void FakeDisk::Commit() {
  for (const auto& [physical, length] : freed_) AddFree(physical, length);
  freed_.clear();
}

uint64_t FakeDisk::free_bytes() const {
  uint64_t blocks = 0;
  for (const auto& [physical, length] : free_) blocks += length;
  return blocks * kBlockBytes;
}

bool FakeDisk::HasFree(uint64_t blocks) {
  if (blocks * kBlockBytes > free_bytes()) Commit();
  return blocks * kBlockBytes <= free_bytes();
}

FakeDisk::Pieces FakeDisk::Allocate(uint64_t blocks) {
  Pieces pieces;
  while (blocks > 0) {
    auto it = free_.begin();
    const auto [physical, length] = *it;
    const uint64_t taken = std::min(blocks, length);
    free_.erase(it);
    if (taken < length) free_[physical + taken] = length - taken;
    pieces.emplace_back(physical, taken);
    blocks -= taken;
  }
  return pieces;
}

// --- What a file can do -------------------------------------------------------------------------

uint64_t FakeDisk::AllocatedBytes(FileId id) const {
  uint64_t blocks = 0;
  for (const auto& [logical, run] : files_.at(id).runs) blocks += run.length;
  return blocks * kBlockBytes;
}

absl::Status FakeDisk::Resize(FileId id, uint64_t size_bytes) {
  File& file = files_.at(id);
  if (size_bytes < file.size_bytes) {
    RETURN_IF_ERROR(Punch(id, size_bytes, file.size_bytes - size_bytes));
    EraseRange(file.runs, BlocksUpTo(size_bytes), UINT64_MAX);
  }
  file.size_bytes = size_bytes;
  return absl::OkStatus();
}

absl::Status FakeDisk::Preallocate(FileId id, uint64_t offset, uint64_t length) {
  File& file = files_.at(id);
  const uint64_t from = offset / kBlockBytes;
  const uint64_t to = BlocksUpTo(offset + length);
  if (!HasFree(HolesBetween(file.runs, from, to))) return NoSpace("fallocate");
  for (uint64_t at = from; at < to;) {
    if (const auto run = RunAt(file.runs, at); run != file.runs.end()) {
      at = run->first + run->second.length;
      continue;
    }
    const auto next = file.runs.upper_bound(at);
    const uint64_t end = next == file.runs.end() ? to : std::min(to, next->first);
    InsertNew(file.runs, at, end - at, /*unwritten=*/true);
    at = end;
  }
  file.size_bytes = std::max(file.size_bytes, offset + length);
  return absl::OkStatus();
}

absl::Status FakeDisk::Punch(FileId id, uint64_t offset, uint64_t length) {
  File& file = files_.at(id);
  const uint64_t end = std::min(offset + length, file.size_bytes);
  if (offset >= end) return absl::OkStatus();
  const uint64_t from = RoundUp(offset, kBlockBytes);
  const uint64_t to =
      end == file.size_bytes ? RoundUp(end, kBlockBytes) : end / kBlockBytes * kBlockBytes;
  auto zero = [&](uint64_t a, uint64_t b) {
    if (a >= b || RunAt(file.runs, a / kBlockBytes) == file.runs.end()) return absl::OkStatus();
    return Write(id, a, std::string(b - a, '\0'));
  };
  RETURN_IF_ERROR(zero(offset, std::min(from, end)));
  if (to >= from) RETURN_IF_ERROR(zero(std::max(to, from), end));
  EraseRange(file.runs, from / kBlockBytes, to / kBlockBytes);
  return absl::OkStatus();
}

void FakeDisk::Clone(FileId from, FileId to) {
  File& copy = files_.at(to);
  copy.size_bytes = files_.at(from).size_bytes;
  for (const auto& [logical, run] : files_.at(from).runs) {
    if (run.unwritten && like_ == Like::kXfs) continue;
    Reference(run.physical, run.length);
    copy.runs[logical] = run;
  }
}

std::vector<Extent> FakeDisk::Extents(FileId id) const {
  std::vector<Extent> extents;
  for (const auto& [logical, run] : files_.at(id).runs) {
    for (uint64_t done = 0; done < run.length;) {
      const References references = ReferencesAt(run.physical + done);
      const uint64_t length = std::min(run.length - done, references.length);
      const Extent extent{(logical + done) * kBlockBytes, (run.physical + done) * kBlockBytes,
                          length * kBlockBytes, run.unwritten, references.count > 1};
      done += length;
      if (!extents.empty()) {
        Extent& last = extents.back();
        if (last.logical + last.length == extent.logical &&
            last.physical + last.length == extent.physical && last.unwritten == extent.unwritten &&
            last.shared == extent.shared) {
          last.length += extent.length;
          continue;
        }
      }
      extents.push_back(extent);
    }
  }
  return extents;
}

bool FakeDisk::HasData(FileId id) const {
  const Runs& runs = files_.at(id).runs;
  return std::any_of(runs.begin(), runs.end(),
                     [](const auto& run) { return !run.second.unwritten; });
}

std::string FakeDisk::Read(FileId id, uint64_t offset, uint64_t length) const {
  const File& file = files_.at(id);
  if (offset >= file.size_bytes) return "";
  std::string data(std::min(length, file.size_bytes - offset), '\0');
  for (uint64_t done = 0; done < data.size();) {
    const uint64_t at = offset + done;
    const uint64_t within = at % kBlockBytes;
    const uint64_t count = std::min<uint64_t>(data.size() - done, kBlockBytes - within);
    const auto run = RunAt(file.runs, at / kBlockBytes);
    if (run != file.runs.end()) {
      const auto content = contents_.find(run->second.physical + at / kBlockBytes - run->first);
      if (content != contents_.end()) data.replace(done, count, content->second, within, count);
    }
    done += count;
  }
  return data;
}

absl::Status FakeDisk::Write(FileId id, uint64_t offset, std::string_view data) {
  if (data.empty()) return absl::OkStatus();
  File& file = files_.at(id);
  const uint64_t from = offset / kBlockBytes;
  const uint64_t to = BlocksUpTo(offset + data.size());
  if (!HasFree(BlocksToWrite(file.runs, from, to))) return NoSpace("pwrite");
  for (uint64_t at = from; at < to;) {
    const auto run = RunAt(file.runs, at);
    if (run == file.runs.end()) {
      const auto next = file.runs.upper_bound(at);
      const uint64_t end = next == file.runs.end() ? to : std::min(to, next->first);
      InsertNew(file.runs, at, end - at, /*unwritten=*/false);
      at = end;
      continue;
    }
    const uint64_t within = at - run->first;
    const References references = ReferencesAt(run->second.physical + within);
    const uint64_t length = std::min({to - at, run->second.length - within, references.length});
    if (references.count > 1) Unshare(file.runs, at, length);
    at += length;
  }
  SplitRuns(file.runs, from);
  SplitRuns(file.runs, to);
  for (auto it = file.runs.lower_bound(from); it != file.runs.end() && it->first < to; ++it) {
    it->second.unwritten = false;
  }
  for (uint64_t done = 0; done < data.size();) {
    const uint64_t at = offset + done;
    const uint64_t within = at % kBlockBytes;
    const uint64_t count = std::min<uint64_t>(data.size() - done, kBlockBytes - within);
    const auto run = RunAt(file.runs, at / kBlockBytes);
    std::string& content = contents_[run->second.physical + at / kBlockBytes - run->first];
    content.resize(kBlockBytes, '\0');
    content.replace(within, count, data.substr(done, count));
    if (content.find_first_not_of('\0') == std::string::npos) {
      contents_.erase(run->second.physical + at / kBlockBytes - run->first);
    }
    done += count;
  }
  file.size_bytes = std::max(file.size_bytes, offset + data.size());
  return absl::OkStatus();
}

}  // namespace holdfast
