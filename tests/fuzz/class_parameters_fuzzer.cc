// Class parameters: what is accepted is within its limits, and written out it is read the same.
#include <map>
#include <string>

#include "fmt/format.h"
#include "tests/fuzz/property.h"
#include "volume/class_parameters.h"

namespace holdfast {
namespace {

// Lines of "key=value".
std::map<std::string, std::string> MapOf(std::string_view text) {
  std::map<std::string, std::string> map;
  while (!text.empty() && map.size() < 16) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t equals = std::min(line.find('='), line.size());
    map[std::string(line.substr(0, equals))] =
        std::string(line.substr(std::min(equals + 1, line.size())));
  }
  return map;
}

std::map<std::string, std::string> Format(const ParsedParameters& parsed) {
  const ClassParameters& p = parsed.parameters;
  std::map<std::string, std::string> map = parsed.labels;
  if (!p.pool.empty()) map["pool"] = p.pool;
  map["provisioning"] = p.provisioning == Provisioning::kThick ? "thick" : "thin";
  map["reserve"] = fmt::format("{}", p.reserve_percent);
  if (p.root_mode) map["rootMode"] = fmt::format("{:04o}", *p.root_mode);
  if (p.root_owner) map["rootOwner"] = fmt::format("{}:{}", p.root_owner->uid, p.root_owner->gid);
  return map;
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  const auto given = MapOf({reinterpret_cast<const char*>(data), size});
  const auto parsed = ParseClassParameters(given);
  if (!parsed.ok()) {
    Require(absl::IsInvalidArgument(parsed.status()), "a refusal is INVALID_ARGUMENT");
    Require(!parsed.status().message().empty(), "a refusal says why");
    Require(IsOneLine({parsed.status().message().data(), parsed.status().message().size()}),
            "a refusal is one line");
    return 0;
  }
  for (const auto& [key, value] : parsed->labels) {
    Require(key.starts_with("csi.storage.k8s.io/"), "only sidecars' keys are labels");
    Require(given.at(key) == value, "a label is kept as it was given");
  }
  const ClassParameters& parameters = parsed->parameters;
  Require(parameters.reserve_percent <= 100, "at most all is reserved");
  Require(parameters.root_mode.value_or(0) <= 07777, "a mode has four octal digits");
  Require(parameters.root_owner.value_or(Owner{}).uid != UINT32_MAX, "-1 is no owner");
  const auto again = ParseClassParameters(Format(*parsed));
  Require(again.ok() && again->parameters == parameters && again->labels == parsed->labels,
          "parameters that are written out are read the same");
  return 0;
}
