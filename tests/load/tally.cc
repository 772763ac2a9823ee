#include "tests/load/tally.h"

#include <algorithm>

#include "fmt/format.h"

namespace holdfast::load {
namespace {

bool IsCall(size_t row) { return row < static_cast<size_t>(Method::kWriteTag); }

float Quantile(std::vector<float>& sorted, double q) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1))];
}

std::string Line(const char* name, std::vector<float> times,
                 const std::map<absl::StatusCode, uint64_t>& codes) {
  std::sort(times.begin(), times.end());
  std::string line = fmt::format("{:<27}{:>7}{:>9.1f}{:>9.1f} ", name, times.size(),
                                 Quantile(times, 0.5), Quantile(times, 0.99));
  for (const auto& [code, count] : codes) {
    line += fmt::format(" {} {}", absl::StatusCodeToString(code), count);
  }
  return line + "\n";
}

}  // namespace

void Tally::Count(Method method, absl::StatusCode code, double milliseconds) {
  Row& row = rows_[static_cast<size_t>(method)];
  row.milliseconds.push_back(static_cast<float>(milliseconds));
  ++row.codes[code];
}

void Tally::Add(const Tally& other) {
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = other.rows_[i];
    rows_[i].milliseconds.insert(rows_[i].milliseconds.end(), row.milliseconds.begin(),
                                 row.milliseconds.end());
    for (const auto& [code, count] : row.codes) rows_[i].codes[code] += count;
  }
  tags_seen += other.tags_seen;
  inherited_tags_seen += other.inherited_tags_seen;
  listed += other.listed;
}

uint64_t Tally::calls() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < rows_.size(); ++i) sum += IsCall(i) ? rows_[i].milliseconds.size() : 0;
  return sum;
}

uint64_t Tally::CallsOf(Method method) const {
  return rows_[static_cast<size_t>(method)].milliseconds.size();
}

uint64_t Tally::WithCode(absl::StatusCode code) const {
  uint64_t sum = 0;
  for (const Row& row : rows_) {
    if (const auto found = row.codes.find(code); found != row.codes.end()) sum += found->second;
  }
  return sum;
}

std::string Tally::Table() const {
  std::string table = fmt::format("{:<27}{:>7}{:>9}{:>9}\n", "method", "calls", "p50 ms", "p99 ms");
  std::vector<float> all;
  std::map<absl::StatusCode, uint64_t> codes;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = rows_[i];
    table += Line(MethodName(static_cast<Method>(i)), row.milliseconds, row.codes);
    if (!IsCall(i)) continue;
    all.insert(all.end(), row.milliseconds.begin(), row.milliseconds.end());
    for (const auto& [code, count] : row.codes) codes[code] += count;
  }
  return table + Line("all calls", std::move(all), codes);
}

}  // namespace holdfast::load
