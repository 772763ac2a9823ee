#include "tests/powercut/logged_disk.h"

#include <cstring>
#include <map>

namespace holdfast::powercut {

const char* FateName(LoggedDisk::Fate fate) {
  switch (fate) {
    case LoggedDisk::Fate::kLost:
      return "all unflushed writes lost";
    case LoggedDisk::Fate::kKept:
      return "all unflushed writes kept";
    case LoggedDisk::Fate::kByWrite:
      return "some unflushed writes lost or torn";
    case LoggedDisk::Fate::kByPage:
      return "each unflushed page old or new";
  }
  return "?";
}

void LoggedDisk::Read(uint64_t offset, uint64_t length, char* out) const {
  const std::lock_guard lock(mutex_);
  for (uint64_t done = 0; done < length; done += kPageBytes) {
    const Page& page = pages_.at((offset + done) / kPageBytes);
    if (page == nullptr) {
      std::memset(out + done, 0, kPageBytes);
    } else {
      std::memcpy(out + done, page->data(), kPageBytes);
    }
  }
}

void LoggedDisk::Write(uint64_t offset, uint64_t length, const char* data) {
  Entry entry;
  for (uint64_t done = 0; done < length; done += kPageBytes) {
    auto page = std::make_shared<std::array<char, kPageBytes>>();
    std::memcpy(page->data(), data + done, kPageBytes);
    entry.emplace_back((offset + done) / kPageBytes, std::move(page));
  }
  Append(std::move(entry));
}

void LoggedDisk::Zero(uint64_t offset, uint64_t length) {
  Entry entry;
  for (uint64_t done = 0; done < length; done += kPageBytes) {
    entry.emplace_back((offset + done) / kPageBytes, nullptr);
  }
  Append(std::move(entry));
}

void LoggedDisk::Flush() { Append({}); }

void LoggedDisk::Append(Entry entry) {
  const std::lock_guard lock(mutex_);
  for (const auto& [index, page] : entry) pages_.at(index) = page;
  if (recording_) log_.push_back(std::move(entry));
}

void LoggedDisk::Record() {
  const std::lock_guard lock(mutex_);
  recording_ = true;
  base_ = pages_;
  log_.clear();
}

size_t LoggedDisk::Position() const {
  const std::lock_guard lock(mutex_);
  return log_.size();
}

size_t LoggedDisk::FlushesBefore(size_t position) const {
  const std::lock_guard lock(mutex_);
  size_t flushes = 0;
  for (size_t i = 0; i < position; ++i) flushes += log_[i].empty() ? 1 : 0;
  return flushes;
}

uint64_t LoggedDisk::PagesWritten() const {
  const std::lock_guard lock(mutex_);
  uint64_t pages = 0;
  for (const Entry& entry : log_) pages += entry.size();
  return pages;
}

LoggedDisk::Pages LoggedDisk::AfterCut(size_t cut, Fate fate, std::mt19937_64& random) const {
  const std::lock_guard lock(mutex_);
  size_t durable = cut;
  while (durable > 0 && !log_[durable - 1].empty()) --durable;
  return Apply(durable, cut, fate, random);
}

LoggedDisk::Pages LoggedDisk::AfterCutWithoutFlushes(size_t lie, size_t cut,
                                                     std::mt19937_64& random) const {
  const std::lock_guard lock(mutex_);
  return Apply(lie, cut, Fate::kByPage, random);
}

LoggedDisk::Pages LoggedDisk::Apply(size_t durable, size_t cut, Fate fate,
                                    std::mt19937_64& random) const {
  Pages result = base_;
  for (size_t i = 0; i < durable; ++i) {
    for (const auto& [index, page] : log_[i]) result.at(index) = page;
  }
  std::map<uint64_t, std::vector<Page>> later;  // in order, so that a seed means one outcome
  for (size_t i = durable; i < cut; ++i) {
    const bool lost = fate == Fate::kLost || (fate == Fate::kByWrite && random() % 2 == 0);
    if (lost) continue;
    const bool torn = fate == Fate::kByWrite && random() % 4 == 0;
    for (const auto& [index, page] : log_[i]) {
      if (!torn || random() % 2 == 0) later[index].push_back(page);
    }
  }
  for (const auto& [index, versions] : later) {
    const size_t kept = fate == Fate::kByPage ? random() % (versions.size() + 1) : versions.size();
    if (kept > 0) result.at(index) = versions[kept - 1];
  }
  return result;
}

}  // namespace holdfast::powercut
