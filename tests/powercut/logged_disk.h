// A disk in memory that remembers every write and flush, so that it can be put back to what a power
// cut at any moment would have left of it.
//
// All offsets and lengths are in whole pages of 4096 bytes, the disk's sector: a page is old or
// new, never torn. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

namespace holdfast::powercut {

class LoggedDisk {
 public:
  static constexpr uint64_t kPageBytes = 4096;
  using Page = std::shared_ptr<const std::array<char, kPageBytes>>;  // null: zeroes
  using Pages = std::vector<Page>;

  // What becomes of the writes that were not flushed when the power went.
  enum class Fate {
    kLost,     // all of them
    kKept,     // none is lost
    kByWrite,  // some writes are lost, some are torn between two pages
    kByPage,   // each page as it was at the flush or after any later write to it
  };

  explicit LoggedDisk(uint64_t size_bytes) : LoggedDisk(Pages(size_bytes / kPageBytes)) {}
  explicit LoggedDisk(Pages pages) : pages_(std::move(pages)) {}

  uint64_t size_bytes() const { return pages_.size() * kPageBytes; }
  void Read(uint64_t offset, uint64_t length, char* out) const;
  void Write(uint64_t offset, uint64_t length, const char* data);
  void Zero(uint64_t offset, uint64_t length);
  void Flush();

  // The log begins here and now.
  void Record();
  // Entries of the log until now: what is asked after a call returned was caused before it did.
  size_t Position() const;
  size_t FlushesBefore(size_t position) const;
  uint64_t PagesWritten() const;

  // What is left when the power goes after the first `cut` entries: everything until the last flush
  // of these, and of the rest what `fate` and `random` say.
  Pages AfterCut(size_t cut, Fate fate, std::mt19937_64& random) const;
  // A disk that lies: as above, with no flush since entry `lie` having had an effect.
  Pages AfterCutWithoutFlushes(size_t lie, size_t cut, std::mt19937_64& random) const;

 private:
  // A flush has no pages.
  using Entry = std::vector<std::pair<uint64_t, Page>>;

  void Append(Entry entry);
  Pages Apply(size_t durable, size_t cut, Fate fate, std::mt19937_64& random) const;

  mutable std::mutex mutex_;
  bool recording_ = false;
  Pages pages_, base_;
  std::vector<Entry> log_;
};

const char* FateName(LoggedDisk::Fate fate);

}  // namespace holdfast::powercut
