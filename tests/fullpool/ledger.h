// What a writer was told: which version of each of its blocks it has written, and which of them an
// fsync acknowledged. In a file that writer and test share, so that it outlives the writer.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

namespace holdfast {

inline constexpr uint64_t kLedgerBlockBytes = 4096;
using LedgerBlock = std::array<uint64_t, kLedgerBlockBytes / sizeof(uint64_t)>;

// Version `version` of block `block`: nobody else's bytes and no other version's look like it.
void FillBlock(LedgerBlock& block, uint64_t seed, uint64_t number, uint64_t version);
// The version that `block` holds; 0 when it is not one that FillBlock made for that place.
uint64_t VersionOf(const LedgerBlock& block, uint64_t seed, uint64_t number);

class Ledger {
 public:
  enum class State : uint32_t { kWriting, kFinished, kFailed };
  struct Header {
    std::atomic<State> state;
    std::atomic<uint32_t> first_errno;  // of the call that failed first
    std::atomic<uint64_t> bytes_written, fsyncs;
    // After the first failure: what was tried, and what was told to have worked all the same.
    std::atomic<uint64_t> tries_after_failure, fsyncs_after_failure, writes_after_failure;
    std::atomic<uint64_t> longest_call_ms;
  };

  // Null when it cannot be made or opened.
  static std::unique_ptr<Ledger> Create(const std::string& path, uint64_t blocks);
  static std::unique_ptr<Ledger> Open(const std::string& path, uint64_t blocks);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  Header& header() { return *header_; }
  uint64_t blocks() const { return blocks_; }
  // Of each block: the newest version that was handed to write(2), and to a good fsync(2) after it.
  uint32_t& written(uint64_t block) { return versions_[block]; }
  uint32_t& acknowledged(uint64_t block) { return versions_[blocks_ + block]; }

 private:
  Ledger() = default;
  static std::unique_ptr<Ledger> Map(int fd, uint64_t blocks);

  Header* header_ = nullptr;
  uint32_t* versions_ = nullptr;
  uint64_t blocks_ = 0;
};

// What a reader finds of what was acknowledged.
struct Comparison {
  uint64_t acknowledged = 0;  // blocks
  uint64_t lost = 0;          // of them: neither that version nor a later one that was written
  std::string first;          // the first lost one, in words
};
// Reads the blocks at `base` of a file or device, past the page cache.
Comparison CompareWithLedger(const std::string& path, uint64_t base, Ledger& ledger, uint64_t seed);

}  // namespace holdfast
