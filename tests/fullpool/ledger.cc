#include "tests/fullpool/ledger.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace holdfast {
namespace {

uint64_t Mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

void FillBlock(LedgerBlock& block, uint64_t seed, uint64_t number, uint64_t version) {
  uint64_t state = Mix(seed ^ Mix(number ^ Mix(version)));
  block[0] = version;
  for (size_t i = 1; i < block.size(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    block[i] = state ^ (state >> 29);
  }
}

uint64_t VersionOf(const LedgerBlock& block, uint64_t seed, uint64_t number) {
  LedgerBlock expected;
  FillBlock(expected, seed, number, block[0]);
  return expected == block ? block[0] : 0;
}

std::unique_ptr<Ledger> Ledger::Map(int fd, uint64_t blocks) {
  const size_t length = kLedgerBlockBytes + 2 * blocks * sizeof(uint32_t);
  void* memory = fd < 0 || ftruncate(fd, static_cast<off_t>(length)) != 0
                     ? MAP_FAILED
                     : mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fd >= 0) close(fd);
  if (memory == MAP_FAILED) return nullptr;
  std::unique_ptr<Ledger> ledger(new Ledger());
  ledger->header_ = static_cast<Header*>(memory);
  ledger->versions_ = reinterpret_cast<uint32_t*>(static_cast<char*>(memory) + kLedgerBlockBytes);
  ledger->blocks_ = blocks;
  return ledger;
}

std::unique_ptr<Ledger> Ledger::Create(const std::string& path, uint64_t blocks) {
  return Map(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), blocks);
}

std::unique_ptr<Ledger> Ledger::Open(const std::string& path, uint64_t blocks) {
  return Map(open(path.c_str(), O_RDWR | O_CLOEXEC), blocks);
}

Ledger::~Ledger() { munmap(header_, kLedgerBlockBytes + 2 * blocks_ * sizeof(uint32_t)); }

Comparison CompareWithLedger(const std::string& path, uint64_t base, Ledger& ledger,
                             uint64_t seed) {
  Comparison comparison;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const int open_errno = errno;
  if (fd >= 0) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  std::vector<LedgerBlock> blocks(256);
  for (uint64_t first = 0; first < ledger.blocks(); first += blocks.size()) {
    const uint64_t count = std::min<uint64_t>(blocks.size(), ledger.blocks() - first);
    // What cannot be read is as lost as what is not there.
    std::memset(blocks.data(), 0, blocks.size() * kLedgerBlockBytes);
    ssize_t length = -1;
    if (fd >= 0) {
      length = pread(fd, blocks.data(), count * kLedgerBlockBytes,
                     static_cast<off_t>(base + first * kLedgerBlockBytes));
    }
    const int read_errno = fd >= 0 ? errno : open_errno;
    for (uint64_t i = 0; i < count; ++i) {
      const uint64_t acknowledged = ledger.acknowledged(first + i);
      if (acknowledged == 0) continue;
      ++comparison.acknowledged;
      const uint64_t found = VersionOf(blocks[i], seed, first + i);
      if (found >= acknowledged && found <= ledger.written(first + i)) continue;
      if (++comparison.lost > 1) continue;
      comparison.first = path + ": block " + std::to_string(first + i) + ": expected version " +
                         std::to_string(acknowledged) + " or later, found " +
                         std::to_string(found) + (blocks[i][0] == 0 ? " (zeroes)" : "") +
                         (length < 0 ? std::string(", ") + std::strerror(read_errno) : "");
    }
  }
  if (fd >= 0) close(fd);
  return comparison;
}

}  // namespace holdfast
