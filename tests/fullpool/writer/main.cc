// A workload: overwrites its part of a file or device again and again and keeps a ledger of it.
//
//   holdfast_full_pool_writer FILE BASE BLOCKS LEDGER SEED fsync|buffered BYTES
//
// BYTES: writes so much, then fsyncs and ends (0: goes on until SIGTERM or a failure). After the
// first failure it tries for a second more whether any write or fsync is told to have worked.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/fullpool/ledger.h"

namespace holdfast {
namespace {

using std::chrono::steady_clock;

constexpr uint64_t kChunkBlocks = 256;  // 1 MiB a write

volatile sig_atomic_t g_stop = 0;

struct Workload {
  std::string path, ledger_path;
  uint64_t base = 0, blocks = 0, seed = 0, bytes = 0;
  bool fsyncs = false;
};

class Writer {
 public:
  Writer(const Workload& workload, int fd, Ledger& ledger)
      : workload_(workload), fd_(fd), ledger_(ledger), buffer_(kChunkBlocks) {}

  void Run() {
    Ledger::Header& header = ledger_.header();
    uint64_t chunk = 0, pending = 0;
    const uint64_t chunks = workload_.blocks / kChunkBlocks;
    for (uint32_t version = 1; g_stop == 0; chunk = (chunk + 1) % chunks) {
      const int error = Write(chunk, version);
      if (error != 0) return Fail(error);
      header.bytes_written += kChunkBlocks * kLedgerBlockBytes;
      unacknowledged_.push_back({chunk, version});
      const bool done = workload_.bytes != 0 && header.bytes_written >= workload_.bytes;
      // Between 1 and 4 MiB: what a database's log does.
      if (done || (workload_.fsyncs && ++pending > (chunk * 7 + workload_.seed) % 4)) {
        pending = 0;
        if (const int failed = Fsync(); failed != 0) return Fail(failed);
      }
      if (done) break;
      if (chunk + 1 == chunks) ++version;
    }
    header.state = Ledger::State::kFinished;
  }

 private:
  struct Unacknowledged {
    uint64_t chunk;
    uint32_t version;
  };

  // 0 or an errno; remembers the longest call.
  template <typename Call>
  int Time(const Call& call) {
    const auto began = steady_clock::now();
    const int error = call() < 0 ? errno : 0;
    const auto took =
        std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - began);
    Ledger::Header& header = ledger_.header();
    header.longest_call_ms =
        std::max<uint64_t>(header.longest_call_ms, static_cast<uint64_t>(took.count()));
    return error;
  }

  int Write(uint64_t chunk, uint32_t version) {
    for (uint64_t i = 0; i < kChunkBlocks; ++i) {
      const uint64_t block = chunk * kChunkBlocks + i;
      FillBlock(buffer_[i], workload_.seed, block, version);
      ledger_.written(block) = version;
    }
    const char* data = reinterpret_cast<const char*>(buffer_.data());
    size_t left = kChunkBlocks * kLedgerBlockBytes;
    off_t offset = static_cast<off_t>(workload_.base + chunk * left);
    while (left > 0) {
      ssize_t length = 0;
      if (const int error = Time([&] { return length = pwrite(fd_, data, left, offset); })) {
        return error;
      }
      data += length;
      offset += length;
      left -= static_cast<size_t>(length);
    }
    return 0;
  }

  int Fsync() {
    if (const int error = Time([&] { return fsync(fd_); })) return error;
    ++ledger_.header().fsyncs;
    for (const Unacknowledged& one : unacknowledged_) {
      for (uint64_t i = 0; i < kChunkBlocks; ++i) {
        ledger_.acknowledged(one.chunk * kChunkBlocks + i) = one.version;
      }
    }
    unacknowledged_.clear();
    return 0;
  }

  void Fail(int error) {
    Ledger::Header& header = ledger_.header();
    header.first_errno = static_cast<uint32_t>(error);
    const auto until = steady_clock::now() + std::chrono::seconds(1);
    for (uint64_t chunk = 0; steady_clock::now() < until; ++chunk) {
      ++header.tries_after_failure;
      if (Fsync() == 0) ++header.fsyncs_after_failure;
      if (Write(chunk % (workload_.blocks / kChunkBlocks), 1u << 30) == 0) {
        ++header.writes_after_failure;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    header.state = Ledger::State::kFailed;
  }

  const Workload& workload_;
  const int fd_;
  Ledger& ledger_;
  std::vector<LedgerBlock> buffer_;
  std::vector<Unacknowledged> unacknowledged_;
};

int Main(const Workload& workload) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct sigaction stop = {};
  stop.sa_handler = [](int) { g_stop = 1; };
  sigaction(SIGTERM, &stop, nullptr);
  const auto ledger = Ledger::Open(workload.ledger_path, workload.blocks);
  const int fd = open(workload.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (ledger == nullptr || fd < 0) {
    std::fprintf(stderr, "open %s: %s\n", workload.path.c_str(), std::strerror(errno));
    return 1;
  }
  Writer(workload, fd, *ledger).Run();
  close(fd);
  return 0;
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  if (argc != 8) {
    std::fprintf(stderr, "expected FILE BASE BLOCKS LEDGER SEED fsync|buffered BYTES\n");
    return 2;
  }
  return holdfast::Main({.path = argv[1],
                         .ledger_path = argv[4],
                         .base = std::strtoull(argv[2], nullptr, 10),
                         .blocks = std::strtoull(argv[3], nullptr, 10),
                         .seed = std::strtoull(argv[5], nullptr, 10),
                         .bytes = std::strtoull(argv[7], nullptr, 10),
                         .fsyncs = std::string(argv[6]) == "fsync"});
}
