#include "tests/load/tags.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "os/unique_fd.h"

namespace holdfast::load {
namespace {

constexpr size_t kWords = 512;
using Block = std::array<uint64_t, kWords>;

Block BlockOf(uint64_t tag) {
  Block block = {};
  if (tag == 0) return block;
  for (size_t i = 0; i < kWords; ++i) {
    block[i] = i == 0 ? tag : block[i - 1] * 0x9e3779b97f4a7c15 + i;
  }
  return block;
}

Answer Failed(const char* what) {
  return {.code = absl::StatusCode::kInternal,
          .message = std::string(what) + ": " + strerror(errno)};
}

std::string PathOf(const std::string& target, bool block) {
  return block ? target : target + "/tag";
}

}  // namespace

Answer WriteTag(const std::string& target, bool block, uint64_t tag) {
  const int flags = O_WRONLY | O_CLOEXEC | (block ? O_DIRECT : O_CREAT);
  const UniqueFd file(open(PathOf(target, block).c_str(), flags, 0644));
  if (!file.valid()) return Failed("open");
  alignas(4096) const Block bytes = BlockOf(tag);
  if (pwrite(file.get(), bytes.data(), sizeof(bytes), 0) != sizeof(bytes)) return Failed("pwrite");
  if (fsync(file.get()) != 0) return Failed("fsync");
  return {.tag = tag};
}

Answer ReadTag(const std::string& target, bool block) {
  const int flags = O_RDONLY | O_CLOEXEC | (block ? O_DIRECT : 0);
  const UniqueFd file(open(PathOf(target, block).c_str(), flags));
  // Not written yet, or made and not yet written when the cut was made.
  if (!file.valid()) return !block && errno == ENOENT ? Answer{} : Failed("open");
  alignas(4096) Block bytes = {};
  const ssize_t got = pread(file.get(), bytes.data(), sizeof(bytes), 0);
  if (got < 0) return Failed("pread");
  if (got == 0 && !block) return {};
  Answer answer{.tag = bytes[0]};
  if (got != sizeof(bytes)) answer.wrong = "a part of a tag's block";
  if (bytes != BlockOf(bytes[0])) answer.wrong = "a tag's block with other bytes in it";
  return answer;
}

}  // namespace holdfast::load
