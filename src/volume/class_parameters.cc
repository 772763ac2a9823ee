#include "volume/class_parameters.h"

#include <charconv>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "base/refusal.h"

namespace holdfast {
namespace {

constexpr std::string_view kSidecarPrefix = "csi.storage.k8s.io/";
constexpr char kKnownKeys[] =
    "pool, provisioning, reserve, rawBlockOvercommit, rootMode, rootOwner";
// Nobody sets this without having read it.
constexpr char kAcceptedLoss[] = "acknowledged-writes-may-be-lost";

absl::Status Refuse(const std::string& key, const std::string& expected, std::string_view found) {
  return absl::InvalidArgumentError(Refusal{.check = fmt::format("parameter {}", key),
                                            .expected = expected,
                                            .found = fmt::format("\"{}\"", found),
                                            .remedy = "correct the StorageClass"}
                                        .Sentence());
}

// Digits of `base` and nothing else: no sign, no space, no prefix.
std::optional<uint32_t> ParseDigits(std::string_view text, int base) {
  uint32_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value, base);
  if (text.empty() || error != std::errc() || rest != end) return std::nullopt;
  return value;
}

absl::Status ParsePool(const std::string& value, ClassParameters& parameters) {
  if (value.empty()) return Refuse("pool", "a pool's name", value);
  parameters.pool = value;
  return absl::OkStatus();
}

absl::Status ParseProvisioning(const std::string& value, ClassParameters& parameters) {
  if (value == "thick") {
    parameters.provisioning = Provisioning::kThick;
  } else if (value == "thin") {
    parameters.provisioning = Provisioning::kThin;
  } else {
    return Refuse("provisioning", "thick or thin", value);
  }
  return absl::OkStatus();
}

absl::Status ParseReserve(const std::string& value, ClassParameters& parameters) {
  const std::optional<uint32_t> percent = ParseDigits(value, 10);
  if (!percent.has_value() || *percent > 100) {
    return Refuse("reserve", "0 to 100 (percent), below 100 only in an overcommitted pool", value);
  }
  parameters.reserve_percent = *percent;
  return absl::OkStatus();
}

absl::Status ParseRawBlockOvercommit(const std::string& value, ClassParameters& parameters) {
  if (value != kAcceptedLoss) return Refuse("rawBlockOvercommit", kAcceptedLoss, value);
  parameters.accepts_lost_writes = true;
  return absl::OkStatus();
}

absl::Status ParseRootMode(const std::string& value, ClassParameters& parameters) {
  const std::optional<uint32_t> mode = ParseDigits(value, 8);
  if (!mode.has_value() || *mode > 07777) {
    return Refuse("rootMode", "an octal number from 0 to 7777, such as 0750", value);
  }
  parameters.root_mode = *mode;
  return absl::OkStatus();
}

absl::Status ParseRootOwner(const std::string& value, ClassParameters& parameters) {
  const size_t colon = value.find(':');
  if (colon != std::string::npos) {
    const std::string_view view = value;
    const std::optional<uint32_t> uid = ParseDigits(view.substr(0, colon), 10);
    const std::optional<uint32_t> gid = ParseDigits(view.substr(colon + 1), 10);
    // chown(2) takes 2^32 - 1 for "leave it as it is".
    if (uid.has_value() && gid.has_value() && *uid != UINT32_MAX && *gid != UINT32_MAX) {
      parameters.root_owner = Owner{.uid = *uid, .gid = *gid};
      return absl::OkStatus();
    }
  }
  return Refuse("rootOwner", "\"uid:gid\" in decimal numbers, such as 1000:1000", value);
}

}  // namespace

absl::StatusOr<ParsedParameters> ParseClassParameters(
    const std::map<std::string, std::string>& parameters) {
  ParsedParameters parsed;
  for (const auto& [key, value] : parameters) {
    absl::Status status;
    if (key.starts_with(kSidecarPrefix)) {
      parsed.labels[key] = value;
    } else if (key == "pool") {
      status = ParsePool(value, parsed.parameters);
    } else if (key == "provisioning") {
      status = ParseProvisioning(value, parsed.parameters);
    } else if (key == "reserve") {
      status = ParseReserve(value, parsed.parameters);
    } else if (key == "rawBlockOvercommit") {
      status = ParseRawBlockOvercommit(value, parsed.parameters);
    } else if (key == "rootMode") {
      status = ParseRootMode(value, parsed.parameters);
    } else if (key == "rootOwner") {
      status = ParseRootOwner(value, parsed.parameters);
    } else {
      status = absl::InvalidArgumentError(
          Refusal{.check = "parameters",
                  .expected = fmt::format("only {} or {}…", kKnownKeys, kSidecarPrefix),
                  .found = fmt::format("\"{}\"", key),
                  .remedy = "correct the StorageClass"}
              .Sentence());
    }
    if (!status.ok()) return status;
  }
  return parsed;
}

}  // namespace holdfast
