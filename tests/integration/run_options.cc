#include "tests/integration/run_options.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

namespace holdfast {
namespace {

// nullopt: absent or empty.
std::optional<uint64_t> Number(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return std::nullopt;
  const std::string_view text = value;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) return number;
  std::fprintf(stderr, "%s: expected a number, found '%s'\n", variable, value);
  std::exit(2);
}

RunOptions Read(std::chrono::seconds default_budget) {
  // Milliseconds: two runs of one second differ.
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                       std::chrono::system_clock::now().time_since_epoch())
                       .count();
  RunOptions options;
  options.seed = Number("HOLDFAST_TEST_SEED").value_or(static_cast<uint64_t>(now) % 1'000'000'000);
  options.budget = default_budget;
  if (const auto budget = Number("HOLDFAST_TEST_BUDGET")) {
    options.budget = std::chrono::seconds(*budget);
  }
  options.full = Number("HOLDFAST_TEST_FULL").value_or(0) != 0;
  return options;
}

}  // namespace

const RunOptions& RunOptions::FromEnvironment(std::chrono::seconds default_budget) {
  static const RunOptions options = Read(default_budget);
  return options;
}

}  // namespace holdfast
