#include "tests/fakes/fake_superblock.h"

#include <cstdlib>
#include <map>

#include <fmt/format.h>
#include "base/sizes.h"

namespace holdfast {
namespace {

uint64_t Checksum(std::string_view text) {
  uint64_t hash = 14695981039346656037ull;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

// "key=value" lines.
std::map<std::string, std::string> Fields(std::string_view text) {
  std::map<std::string, std::string> fields;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    fields[std::string(line.substr(0, equals))] = std::string(line.substr(equals + 1));
  }
  return fields;
}

}  // namespace

std::string FakeSuperblock::Encode() const {
  std::string block = fmt::format(
      "content={}\nuuid={}\nsize={}\ndirty={:d}\nerrors={:d}\ndamaged={:d}\n"
      "inode={}\ngeneration={}\nbirth={}\nbirth_ns={}\nchange={}\nchange_ns={}\n"
      "mode={}\nowner={}\ngroup={}\nacl={}\ndefault_acl={}\n",
      ContentName(content), uuid, size_bytes, dirty, errors, damaged, root.inode, root.generation,
      root.birth_time.seconds, root.birth_time.nanoseconds, root.change_time.seconds,
      root.change_time.nanoseconds, root.mode, root.owner, root.group, root.access_acl,
      root.default_acl);
  block = fmt::format("FAKEFS {:016x}\n{}", Checksum(block), block);
  block.resize(kBlockBytes, '\0');
  return block;
}

std::optional<FakeSuperblock> FakeSuperblock::Decode(std::string_view block) {
  constexpr size_t kHeader = 24;  // "FAKEFS 0123456789abcdef\n"
  if (block.size() != kBlockBytes || block.substr(0, 7) != "FAKEFS ") return std::nullopt;
  const size_t end = block.find_last_not_of('\0') + 1;
  if (end <= kHeader) return std::nullopt;
  const std::string_view text = block.substr(kHeader, end - kHeader);
  if (block.substr(7, 16) != fmt::format("{:016x}", Checksum(text))) return std::nullopt;

  auto fields = Fields(text);
  auto number = [&](const char* key) { return std::strtoull(fields[key].c_str(), nullptr, 10); };
  FakeSuperblock superblock;
  superblock.content = ParseContent(fields["content"]).value();
  superblock.uuid = fields["uuid"];
  superblock.size_bytes = number("size");
  superblock.dirty = number("dirty") != 0;
  superblock.errors = number("errors") != 0;
  superblock.damaged = number("damaged") != 0;
  RootAttributes& root = superblock.root;
  root.inode = number("inode");
  root.generation = static_cast<uint32_t>(number("generation"));
  root.birth_time = {static_cast<int64_t>(number("birth")),
                     static_cast<uint32_t>(number("birth_ns"))};
  root.change_time = {static_cast<int64_t>(number("change")),
                      static_cast<uint32_t>(number("change_ns"))};
  root.mode = static_cast<uint32_t>(number("mode"));
  root.owner = static_cast<uint32_t>(number("owner"));
  root.group = static_cast<uint32_t>(number("group"));
  root.access_acl = fields["acl"];
  root.default_acl = fields["default_acl"];
  return superblock;
}

uint64_t FakeSuperblock::Offset(Content content) {
  return content == Content::kBtrfs ? 64 * kKiB : 0;
}

uint64_t RootInode(Content content) {
  switch (content) {
    case Content::kXfs:
      return 128;
    case Content::kBtrfs:
      return 256;
    default:
      return 2;
  }
}

}  // namespace holdfast
