#include "rpc/parse.h"

#include <algorithm>

#include "base/build_info.h"
#include "base/status_macros.h"
#include "fmt/format.h"

namespace holdfast {
namespace {

constexpr std::string_view kTokenPrefix = "after:";

// The length of the UTF-8 sequence at the front of `text`; 0 when there is none (overlong forms,
// surrogates and code points past U+10FFFF are none).
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto continued = [&](size_t from, size_t to) {
    for (size_t i = from; i < to; ++i) {
      if ((byte(i) & 0xc0) != 0x80) return false;
    }
    return true;
  };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continued(1, 2) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return 0;
    return continued(1, 3) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return 0;
    return continued(1, 4) ? 4 : 0;
  }
  return 0;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// C0, DEL and, as UTF-8, C1.
bool StartsWithControl(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x20 || first == 0x7f) return true;
  return first == 0xc2 && text.size() > 1 && static_cast<unsigned char>(text[1]) < 0xa0;
}

absl::Status Malformed(std::string_view field, std::string_view sentence) {
  return absl::InvalidArgumentError(fmt::format("{}: {}", field, sentence));
}

}  // namespace

std::string Quoted(std::string_view value) {
  std::string quoted = "'";
  std::string_view rest = value;
  while (!rest.empty() && value.size() - rest.size() < kQuotedBytes) {
    const size_t length = SequenceLength(rest);
    if (length == 0 || StartsWithControl(rest)) {
      for (size_t i = 0; i < std::max<size_t>(length, 1); ++i) {
        quoted += fmt::format("\\x{:02x}", static_cast<unsigned char>(rest[i]));
      }
    } else {
      quoted += rest.substr(0, length);
    }
    rest.remove_prefix(std::max<size_t>(length, 1));
  }
  return quoted + (rest.empty() ? "'" : fmt::format("…' ({} bytes)", value.size()));
}

absl::StatusOr<std::string> ParseName(std::string_view field, const std::string& value) {
  if (value.empty()) return Malformed(field, "expected a name, found none");
  if (value.size() > kMaxStringBytes) {
    return Malformed(
        field, fmt::format("expected at most {} bytes, found {}", kMaxStringBytes, value.size()));
  }
  if (!IsUtf8(value)) {
    return Malformed(field, fmt::format("expected UTF-8, found {}", Quoted(value)));
  }
  for (size_t i = 0; i < value.size(); ++i) {
    if (StartsWithControl(std::string_view(value).substr(i))) {
      return Malformed(field,
                       fmt::format("expected no control characters, found {}", Quoted(value)));
    }
  }
  return value;
}

absl::StatusOr<std::string> RequireId(std::string_view field, const std::string& value) {
  if (value.empty()) return Malformed(field, "expected an id, found none");
  return value;
}

absl::StatusOr<std::string> RequirePath(std::string_view field, const std::string& value,
                                        absl::StatusCode absent) {
  if (value.empty()) {
    return absl::Status(absent, fmt::format("{}: expected a path, found none", field));
  }
  if (value.size() > kMaxPathBytes) {
    return Malformed(
        field, fmt::format("expected at most {} bytes, found {}", kMaxPathBytes, value.size()));
  }
  if (value[0] != '/' || value.find('\0') != value.npos) {
    return Malformed(field, fmt::format("expected an absolute path, found {}", Quoted(value)));
  }
  return value;
}

absl::StatusOr<std::map<std::string, std::string>> ParseMap(std::string_view field,
                                                            const ProtoMap& map) {
  size_t bytes = 0;
  for (const auto& [key, value] : map) {
    bytes += key.size() + value.size();
    if (!IsUtf8(key) || !IsUtf8(value))
      return Malformed(field, "expected UTF-8, found other bytes");
  }
  if (bytes > kMaxMapBytes) {
    return Malformed(field, fmt::format("expected at most {} bytes of keys and values, found {}",
                                        kMaxMapBytes, bytes));
  }
  return std::map<std::string, std::string>(map.begin(), map.end());
}

absl::StatusOr<CapacityRange> ParseCapacityRange(std::string_view field,
                                                 const csi::v1::CapacityRange& range) {
  if (range.required_bytes() < 0 || range.limit_bytes() < 0) {
    return Malformed(field, fmt::format("expected sizes of at least 0, found required_bytes {} and "
                                        "limit_bytes {}",
                                        range.required_bytes(), range.limit_bytes()));
  }
  return CapacityRange{.required_bytes = static_cast<uint64_t>(range.required_bytes()),
                       .limit_bytes = static_cast<uint64_t>(range.limit_bytes())};
}

absl::StatusOr<Page> ParsePage(int32_t max_entries, const std::string& starting_token,
                               ObjectKind kind) {
  if (max_entries < 0) {
    return Malformed("max_entries", fmt::format("expected at least 0, found {}", max_entries));
  }
  Page page{.after = "", .limit = kMaxPageEntries};
  if (max_entries > 0) page.limit = std::min<uint64_t>(max_entries, kMaxPageEntries);
  if (starting_token.empty()) return page;
  if (starting_token.starts_with(kTokenPrefix)) {
    page.after = starting_token.substr(kTokenPrefix.size());
    if (auto id = ParseId(page.after); id && id->kind == kind) return page;
  }
  return absl::AbortedError(
      fmt::format("starting_token: expected the next_token of an earlier answer, found {}; list "
                  "again from the start",
                  Quoted(starting_token)));
}

std::string MakePageToken(std::string_view last_id) {
  return fmt::format("{}{}", kTokenPrefix, last_id);
}

std::optional<std::string> NodeOfTopology(const csi::v1::Topology& topology) {
  const auto node = topology.segments().find(kNodeTopologyKey);
  if (topology.segments_size() != 1 || node == topology.segments().end()) return std::nullopt;
  return node->second;
}

bool NodeChoice::Allows(std::string_view node) const {
  return any || std::find(requisite.begin(), requisite.end(), node) != requisite.end();
}

NodeChoice ParseTopologyRequirement(const csi::v1::TopologyRequirement& requirement) {
  NodeChoice choice;
  choice.any = requirement.requisite().empty();
  for (const csi::v1::Topology& topology : requirement.requisite()) {
    if (auto node = NodeOfTopology(topology)) choice.requisite.push_back(*std::move(node));
  }
  for (const csi::v1::Topology& topology : requirement.preferred()) {
    auto node = NodeOfTopology(topology);
    if (node && choice.Allows(*node)) choice.preferred.push_back(*std::move(node));
  }
  return choice;
}

}  // namespace holdfast
