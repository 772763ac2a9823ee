#include "bench/report.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

namespace holdfast::bench {
namespace {

constexpr char kLine[] = "{:<4} {:<52} {:>8} {:>8} {:>8} {:>8}  {:<10} {}\n";

std::string Limit(const Bar& bar, const std::optional<double>& limit) {
  if (!limit) return "-";
  return fmt::format("{} {:.2f}", bar.better == Better::kHigher ? "≥" : "≤", *limit);
}

// fmt counts "≥" as one column, as a terminal does.
std::string Now() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
  return text;
}

nlohmann::ordered_json ToJson(const Figure& figure) {
  nlohmann::ordered_json json = {
      {"row", figure.row},
      {"what", figure.what},
      {"ratio", figure.outcome.ratio},
      {"must", nullptr},
      {"aim", nullptr},
      {"better", figure.bar.better == Better::kHigher ? "higher" : "lower"},
      {"control", figure.outcome.control},
      {"control_tolerance", figure.bar.tolerance},
      {"verdict", VerdictName(figure.outcome.verdict)},
      {"ours", figure.outcome.ours},
      {"base", figure.outcome.base},
      {"unit", figure.unit},
      {"pairs", figure.outcome.pairs},
      {"attempts", figure.outcome.attempts}};
  if (figure.bar.must) json["must"] = *figure.bar.must;
  if (figure.bar.aim) json["aim"] = *figure.bar.aim;
  return json;
}

}  // namespace

std::string KernelVersion() {
  utsname name = {};
  uname(&name);
  return fmt::format("{} {}", name.sysname, name.release);
}

void Report::PrintHeader() const {
  fmt::print("{}, {} cores, {}\n\n", KernelVersion(), sysconf(_SC_NPROCESSORS_ONLN), Now());
  fmt::print(kLine, "row", "what", "ratio", "must", "aim", "control", "verdict", "ours : base");
  std::fflush(stdout);
}

void Report::Add(Figure figure) {
  const Outcome& outcome = figure.outcome;
  fmt::print(
      kLine, figure.row, figure.what, fmt::format("{:.3f}", outcome.ratio),
      Limit(figure.bar, figure.bar.must), Limit(figure.bar, figure.bar.aim),
      fmt::format("{:.3f}", outcome.control), VerdictName(outcome.verdict),
      fmt::format(
          "{:.4g} : {:.4g} {}{}", outcome.ours, outcome.base, figure.unit,
          outcome.attempts > 1 ? fmt::format(" (measured {} times)", outcome.attempts) : ""));
  std::fflush(stdout);
  figures_.push_back(std::move(figure));
}

size_t Report::Count(Verdict verdict, bool gated) const {
  return std::count_if(figures_.begin(), figures_.end(), [&](const Figure& figure) {
    return figure.outcome.verdict == verdict && figure.bar.must.has_value() == gated;
  });
}

void Report::PrintSummary() const {
  fmt::print("\n{} reach their aim, {} their must, {} missed, {} undecided, {} only reported\n",
             Count(Verdict::kAim, true), Count(Verdict::kMust, true), Count(Verdict::kMissed, true),
             Count(Verdict::kUndecided, true),
             Count(Verdict::kReported, false) + Count(Verdict::kUndecided, false));
}

bool Report::WriteJson(const std::string& path) const {
  nlohmann::ordered_json json = {{"kernel", KernelVersion()},
                                 {"cores", sysconf(_SC_NPROCESSORS_ONLN)},
                                 {"time", Now()},
                                 {"figures", nlohmann::ordered_json::array()}};
  for (const Figure& figure : figures_) json["figures"].push_back(ToJson(figure));
  std::ofstream file(path, std::ios::trunc);
  file << json.dump(2) << "\n";
  return static_cast<bool>(file.flush());
}

int Report::ExitCode(bool allow_undecided) const {
  if (Count(Verdict::kMissed, true) > 0) return 1;
  return Count(Verdict::kUndecided, true) > 0 && !allow_undecided ? 1 : 0;
}

}  // namespace holdfast::bench
