// holdfastctl doctor
#include <algorithm>
#include <ostream>

#include "admin_client.h"
#include "base/status_macros.h"
#include "ctl.h"
#include "engine/image/upkeep/examination.h"
#include "fmt/format.h"
#include "text.h"

namespace holdfast::ctl {
namespace {

using Json = nlohmann::ordered_json;

struct Answer {
  bool by_server = true;
  size_t pools = 0;
  Examination examination;
};

Finding FromMessage(const admin::v1::ExamineResponse::Finding& message) {
  return {.kind = message.kind(),
          .pool = message.pool(),
          .object = message.object(),
          .expected = message.expected(),
          .found = message.found(),
          .fix = message.fix(),
          .offered = message.offered(),
          .done = message.done(),
          .failure = message.failure()};
}

absl::StatusOr<Answer> AskServer(const Request& request) {
  admin::v1::ExamineRequest call;
  call.set_fix(request.fix);
  admin::v1::ExamineResponse response;
  RETURN_IF_ERROR(CallServer(request, &AdminStub::Examine, call, response));
  Answer answer{.by_server = true, .pools = response.pools(), .examination = {}};
  for (const auto& finding : response.findings()) {
    answer.examination.findings.push_back(FromMessage(finding));
  }
  answer.examination.examined = {.volumes = response.volumes(),
                                 .snapshots = response.snapshots(),
                                 .trash_entries = response.trash_entries(),
                                 .files = response.files(),
                                 .loops = response.loops()};
  return answer;
}

// Without a server: what it would tell, and nothing is changed.
absl::StatusOr<Answer> Look(const Request& request, Host& host) {
  VolumeLocks locks;
  Doctor doctor(host, locks, {}, false);
  std::vector<std::unique_ptr<Pool>> open;
  std::vector<Pool*> pools;
  for (const std::string& path : request.pools) {
    auto pool = OpenPoolReadOnly(host, path);
    if (!pool.ok()) {
      doctor.AddRefused(path, std::string(pool.status().message()));
      continue;
    }
    open.push_back(*std::move(pool));
    pools.push_back(open.back().get());
    doctor.ExaminePool(*pools.back());
  }
  doctor.ExamineFreezes(pools);
  return Answer{.by_server = false, .pools = request.pools.size(), .examination = doctor.Take()};
}

Json FindingJson(const Finding& finding) {
  return {{"kind", finding.kind},         {"pool", finding.pool},   {"object", finding.object},
          {"expected", finding.expected}, {"found", finding.found}, {"fix", finding.fix},
          {"offered", finding.offered},   {"done", finding.done},   {"failure", finding.failure}};
}

std::string Outcome(const Finding& finding) {
  if (finding.done) return "done";
  if (!finding.failure.empty()) return "failed: " + finding.failure;
  return finding.offered ? "--fix does it" : "yours to do";
}

void Print(const Answer& answer, std::ostream& out) {
  for (const Finding& finding : answer.examination.findings) {
    out << fmt::format("{}  {}{}\n", finding.kind, Printable(finding.object),
                       finding.pool.empty() ? "" : "  in pool " + Printable(finding.pool));
    out << fmt::format("  expected  {}\n  found     {}\n  fix       {} ({})\n",
                       Printable(finding.expected), Printable(finding.found),
                       Printable(finding.fix), Printable(Outcome(finding)));
  }
  const std::vector<Finding>& findings = answer.examination.findings;
  const bool mended = std::all_of(findings.begin(), findings.end(),
                                  [](const Finding& finding) { return finding.done; });
  const Examined& examined = answer.examination.examined;
  out << fmt::format(
      "{}: {} pools, {} volumes, {} snapshots, {} trash entries, {} files and {} loop devices "
      "looked "
      "at{}\n",
      findings.empty() ? "healthy"
      : mended         ? "mended"
                       : "not healthy",
      answer.pools, examined.volumes, examined.snapshots, examined.trash_entries, examined.files,
      examined.loops, answer.by_server ? "" : " (no server answers: without one)");
}

}  // namespace

absl::Status DoctorCommand(const Request& request, Surroundings& surroundings) {
  absl::StatusOr<Answer> answer = AskServer(request);
  if (IsNoServer(answer.status()) && !request.fix) {
    ASSIGN_OR_RETURN(Host * host, surroundings.host());
    answer = Look(request, *host);
  }
  RETURN_IF_ERROR(answer.status());
  const std::vector<Finding>& findings = answer->examination.findings;
  const auto done = static_cast<size_t>(std::count_if(
      findings.begin(), findings.end(), [](const Finding& finding) { return finding.done; }));
  if (request.json) {
    const Examined& examined = answer->examination.examined;
    Json json = {{"healthy", findings.empty()},
                 {"by_server", answer->by_server},
                 {"examined",
                  {{"pools", answer->pools},
                   {"volumes", examined.volumes},
                   {"snapshots", examined.snapshots},
                   {"trash_entries", examined.trash_entries},
                   {"files", examined.files},
                   {"loops", examined.loops}}},
                 {"findings", Json::array()}};
    for (const Finding& finding : findings) json["findings"].push_back(FindingJson(finding));
    PrintJson(json, surroundings.out);
  } else {
    Print(*answer, surroundings.out);
  }
  if (findings.size() == done) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "doctor: expected no findings, found {}, {} of them mended", findings.size(), done));
}

}  // namespace holdfast::ctl
