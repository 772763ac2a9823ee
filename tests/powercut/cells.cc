#include "tests/powercut/cells.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "os/unique_fd.h"

namespace holdfast::powercut {
namespace {

constexpr size_t kBlockBytes = 4096;
constexpr uint64_t kMagic = 0x486f6c6463656c6c;  // "Holdcell"

absl::Status Failed(const char* call, const std::string& path) {
  return absl::InternalError(fmt::format("{} {}: {}", call, path, strerror(errno)));
}

// FNV-1a: the same in every run.
uint64_t HashOf(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

uint64_t BlocksOf(uint64_t version) { return 1 + version % 8; }

absl::Status WriteAt(const UniqueFd& file, const std::string& data, uint64_t offset) {
  const ssize_t written = pwrite(file.get(), data.data(), data.size(), static_cast<off_t>(offset));
  if (written == static_cast<ssize_t>(data.size())) return absl::OkStatus();
  return absl::InternalError(fmt::format("pwrite: {} of {}: {}", written, data.size(),
                                         written < 0 ? strerror(errno) : "short"));
}

}  // namespace

std::string Cells::Block(const std::string& cell, uint64_t version, uint64_t index) const {
  std::string block(kBlockBytes, '\0');
  const uint64_t head[] = {kMagic, writer_, HashOf(cell), version, index};
  std::memcpy(block.data(), head, sizeof(head));
  uint64_t word = HashOf({block.data(), sizeof(head)});
  for (size_t at = sizeof(head); at < kBlockBytes; at += sizeof(word)) {
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
    std::memcpy(block.data() + at, &word, sizeof(word));
  }
  return block;
}

absl::Status Cells::WriteBlocks(uint64_t first, uint64_t count, uint64_t version, bool data_only) {
  const std::string path = PathOfBlocks();
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!file.valid()) return Failed("open", path);
  for (uint64_t index = first; index < first + count; ++index) {
    const std::string block = Block(BlockName(index), version, 0);
    RETURN_IF_ERROR(WriteAt(file, block, index * kBlockBytes));
  }
  if ((data_only ? fdatasync(file.get()) : fsync(file.get())) != 0) return Failed("fsync", path);
  // The file's own name must last too.
  return device_ || version > 1 ? absl::OkStatus() : SyncFolder();
}

absl::Status Cells::WriteWhole(const std::string& cell, const std::string& path,
                               uint64_t version) const {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file.valid()) return Failed("open", path);
  for (uint64_t index = 0; index < BlocksOf(version); ++index) {
    RETURN_IF_ERROR(WriteAt(file, Block(cell, version, index), index * kBlockBytes));
  }
  return fsync(file.get()) == 0 ? absl::OkStatus() : Failed("fsync", path);
}

absl::Status Cells::WriteFile(uint64_t index, uint64_t version) {
  RETURN_IF_ERROR(WriteWhole(FileName(index), PathOfFile(index), version));
  return SyncFolder();
}

absl::Status Cells::RemoveFile(uint64_t index) {
  if (unlink(PathOfFile(index).c_str()) != 0) return Failed("unlink", PathOfFile(index));
  return SyncFolder();
}

absl::Status Cells::ReplaceRenamed(uint64_t version) {
  const std::string fresh = target_ + "/fresh", path = target_ + "/" + kRenamed;
  RETURN_IF_ERROR(WriteWhole(kRenamed, fresh, version));
  if (rename(fresh.c_str(), path.c_str()) != 0) return Failed("rename", path);
  return SyncFolder();
}

absl::Status Cells::SyncFolder() const {
  const UniqueFd folder(open(target_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid() || fsync(folder.get()) != 0) return Failed("fsync", target_);
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> Cells::Find(const std::string& cell) const {
  const uint64_t index = cell == kRenamed ? 0 : std::stoull(cell.substr(cell.find('/') + 1));
  if (cell.starts_with("block/")) return FindBlock(cell, index);
  return FindFile(cell, cell == kRenamed ? target_ + "/" + kRenamed : PathOfFile(index));
}

absl::StatusOr<uint64_t> Cells::FindBlock(const std::string& cell, uint64_t index) const {
  const UniqueFd file(open(PathOfBlocks().c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() && errno == ENOENT) return 0;
  if (!file.valid()) return absl::DataLossError(std::string(Failed("open", cell).message()));
  std::string found(kBlockBytes, '\0');
  const ssize_t got =
      pread(file.get(), found.data(), kBlockBytes, static_cast<off_t>(index * kBlockBytes));
  if (got < 0) return absl::DataLossError(std::string(Failed("read", cell).message()));
  if (found == std::string(kBlockBytes, '\0')) return 0;
  uint64_t version = 0;
  std::memcpy(&version, found.data() + 3 * sizeof(uint64_t), sizeof(version));
  if (found == Block(cell, version, 0)) return version;
  return absl::DataLossError(cell + ": its bytes were never written");
}

absl::StatusOr<uint64_t> Cells::FindFile(const std::string& cell, const std::string& path) const {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid() && errno == ENOENT) return 0;
  if (!file.valid()) return absl::DataLossError(std::string(Failed("open", path).message()));
  std::string found(9 * kBlockBytes, '\0');
  const ssize_t got = pread(file.get(), found.data(), found.size(), 0);
  if (got < 0) return absl::DataLossError(std::string(Failed("read", path).message()));
  uint64_t version = 0;
  std::memcpy(&version, found.data() + 3 * sizeof(uint64_t), sizeof(version));
  std::string expected;
  for (uint64_t index = 0; index < BlocksOf(version); ++index) {
    expected += Block(cell, version, index);
  }
  found.resize(static_cast<size_t>(got));
  if (found == expected) return version;
  return absl::DataLossError(fmt::format("{}: {} bytes that were never written", cell, got));
}

absl::StatusOr<std::string> ImageDigest(const std::string& path) {
  constexpr size_t kChunkBytes = 1 << 20;
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_NOATIME | O_CLOEXEC));
  if (!file.valid()) return Failed("open", path);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest(EVP_MD_CTX_new(),
                                                                       EVP_MD_CTX_free);
  EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr);
  std::string chunk(kChunkBytes, '\0');
  const std::string zeroes(kBlockBytes, '\0');
  for (off_t at = 0; (at = lseek(file.get(), at, SEEK_DATA)) >= 0;) {
    at -= at % static_cast<off_t>(kBlockBytes);
    const ssize_t got = pread(file.get(), chunk.data(), kChunkBytes, at);
    if (got <= 0) return Failed("read", path);
    for (size_t block = 0; block < static_cast<size_t>(got); block += kBlockBytes) {
      if (std::memcmp(chunk.data() + block, zeroes.data(), kBlockBytes) == 0) continue;
      const off_t offset = at + static_cast<off_t>(block);
      EVP_DigestUpdate(digest.get(), &offset, sizeof(offset));
      EVP_DigestUpdate(digest.get(), chunk.data() + block, kBlockBytes);
    }
    at += got;
  }
  if (errno != ENXIO) return Failed("lseek", path);
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_DigestFinal_ex(digest.get(), bytes, &length);
  std::string text;
  for (unsigned int i = 0; i < 16 && i < length; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

}  // namespace holdfast::powercut
