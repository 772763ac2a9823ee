// holdfast_bench: the rows of docs/performance.md. tools/bench runs it in a mount namespace.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "CLI/CLI.hpp"
#include "absl/synchronization/mutex.h"
#include "bench/report.h"
#include "bench/rows.h"

namespace holdfast::bench {
namespace {

struct Row {
  const char* name;
  absl::Status (*measure)(Bench&);
};

// In this order: those of one site follow each other.
constexpr Row kRows[] = {{"D1", MeasureD1}, {"D2", MeasureD2},   {"D3", MeasureD3},
                         {"S3", MeasureS3}, {"S4", MeasureS4},   {"M1", MeasureM1},
                         {"S1", MeasureS1}, {"S2", MeasureS2},   {"M4", MeasureM4},
                         {"C1", MeasureC1}, {"C1b", MeasureC1b}, {"C2", MeasureC2},
                         {"C3", MeasureC3}, {"R1", MeasureR1},   {"C4", MeasureC4}};

std::vector<std::string> RowNames() {
  std::vector<std::string> names;
  for (const Row& row : kRows) names.emplace_back(row.name);
  return names;
}

bool Wanted(const std::vector<std::string>& rows, const Row& row) {
  return rows.empty() || std::find(rows.begin(), rows.end(), row.name) != rows.end();
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
  using namespace holdfast::bench;
  // As in the server: what Debian's Abseil checks at each lock is not what is measured.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  CLI::App app("Measures holdfast against baselines made by hand", "bench");
  std::vector<std::string> rows;
  std::string json, folder, programs;
  bool allow_undecided = false;
  app.add_option("ROW", rows, "Rows to measure [all]")->check(CLI::IsMember(RowNames()));
  app.add_option("--json", json, "Where the figures go as JSON");
  app.add_option("--folder", folder, "An empty folder to work in")->required();
  app.add_option("--programs", programs, "The folder of holdfast and holdfastctl")->required();
  Endpoints endpoints;
  app.add_option("--endpoint", endpoints.driver,
                 "C1: a CSI driver that runs already, such as unix:///run/csi.sock");
  app.add_option("--peer-endpoint", endpoints.peer, "Another one, to compare it with");
  app.add_flag("--allow-undecided", allow_undecided,
               "Do not fail for figures that a noisy machine left undecided");
  CLI11_PARSE(app, argc, argv);

  Report report;
  report.PrintHeader();
  bool failed = false;
  {
    Bench bench(folder, programs, endpoints, report);
    for (const Row& row : kRows) {
      if (!Wanted(rows, row)) continue;
      const absl::Status status = row.measure(bench);
      if (status.ok()) continue;
      failed = true;
      fmt::print(stderr, "{}: not measured: {}\n", row.name, std::string(status.message()));
      bench.Leave();  // what it left behind must not touch the next row
    }
  }
  report.PrintSummary();
  if (!json.empty() && !report.WriteJson(json)) {
    fmt::print(stderr, "{}: cannot be written\n", json);
    failed = true;
  }
  return failed ? 1 : report.ExitCode(allow_undecided);
}
