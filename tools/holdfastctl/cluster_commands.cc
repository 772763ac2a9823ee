// holdfastctl cluster status, jobs
#include <ostream>

#include "admin_client.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "ctl.h"
#include "fmt/format.h"
#include "text.h"

namespace holdfast::ctl {
namespace {

using Json = nlohmann::ordered_json;
using admin::v1::ClusterCopy;
using admin::v1::ClusterNode;
using admin::v1::ClusterPool;
using admin::v1::ClusterRefusal;

Json PoolJson(const ClusterPool& pool) {
  return {{"name", pool.name()},
          {"uuid", pool.uuid()},
          {"refusal", pool.refusal().empty() ? "" : Printable(pool.refusal())},
          {"size_bytes", pool.size_bytes()},
          {"free_bytes", pool.free_bytes()},
          {"owed_bytes", pool.owed_bytes()},
          {"floor_bytes", pool.floor_bytes()},
          {"trash_bytes", pool.trash_bytes()},
          {"volumes", pool.volumes()},
          {"snapshots", pool.snapshots()}};
}

Json NodeJson(const ClusterNode& node) {
  Json pools = Json::array(), refused = Json::array();
  for (const ClusterPool& pool : node.pools()) pools.push_back(PoolJson(pool));
  for (const ClusterRefusal& volume : node.refused_volumes()) {
    refused.push_back({{"id", volume.volume_id()},
                       {"claim", ClaimOf(volume.labels())},
                       {"sentence", volume.sentence()}});
  }
  return {{"name", node.name()},       {"address", node.address()},
          {"version", node.version()}, {"silent_seconds", node.silent_seconds()},
          {"trouble", node.trouble()}, {"pools", pools},
          {"refused_volumes", refused}};
}

void AddPool(const ClusterNode& node, const ClusterPool& pool, Table& table) {
  const uint64_t spare =
      SaturatingSubtract(pool.free_bytes(), pool.owed_bytes() + pool.floor_bytes());
  const char* state = !node.trouble().empty() ? "away" : !pool.refusal().empty() ? "refused" : "ok";
  table.Add({Printable(node.name()), node.version(), fmt::format("{} s", node.silent_seconds()),
             Printable(pool.name()), FormatBytes(pool.size_bytes()), FormatBytes(pool.free_bytes()),
             node.trouble().empty() ? FormatBytes(spare) : "-", fmt::format("{}", pool.volumes()),
             fmt::format("{}", pool.snapshots()), state});
}

void Print(const admin::v1::GetClusterStatusResponse& status, std::ostream& out) {
  Table table({"NODE", "VERSION", "HEARD", "POOL", "SIZE", "FREE", "SPARE", "VOLUMES", "SNAPSHOTS",
               "STATE"});
  for (const ClusterNode& node : status.nodes()) {
    for (const ClusterPool& pool : node.pools()) AddPool(node, pool, table);
    if (node.pools().empty()) AddPool(node, ClusterPool(), table);
  }
  table.Print(out);
  for (const ClusterNode& node : status.nodes()) {
    if (!node.trouble().empty()) out << Printable(node.trouble()) << '\n';
    for (const ClusterPool& pool : node.pools()) {
      if (pool.refusal().empty()) continue;
      out << fmt::format("node {}: {}\n", Printable(node.name()), Printable(pool.refusal()));
    }
    for (const ClusterRefusal& volume : node.refused_volumes()) {
      out << fmt::format("node {}, claim {}: {}\n", Printable(node.name()),
                         ClaimOf(volume.labels()), Printable(volume.sentence()));
    }
  }
}

Json JobJson(const ClusterNode& node, const ClusterCopy& copy) {
  return {{"kind", "copy"},
          {"volume", copy.volume_id()},
          {"claim", ClaimOf(copy.labels())},
          {"source", copy.source_id()},
          {"from_node", copy.from_node()},
          {"to_node", node.name()},
          {"passed_bytes", copy.passed_bytes()},
          {"total_bytes", copy.total_bytes()},
          {"started", FormatTime(copy.started_unix_nanos())}};
}

void AddJob(const ClusterNode& node, const ClusterCopy& copy, Table& table) {
  const uint64_t percent =
      copy.total_bytes() == 0 ? 0 : copy.passed_bytes() * 100 / copy.total_bytes();
  table.Add({"copy", copy.volume_id(), ClaimOf(copy.labels()), Printable(copy.from_node()),
             Printable(node.name()),
             fmt::format("{} of {} ({} %)", FormatBytes(copy.passed_bytes()),
                         FormatBytes(copy.total_bytes()), percent),
             FormatTime(copy.started_unix_nanos())});
}

absl::StatusOr<admin::v1::GetClusterStatusResponse> AskController(const Request& request) {
  admin::v1::GetClusterStatusResponse status;
  RETURN_IF_ERROR(CallServer(request, &ClusterStub::GetClusterStatus,
                             admin::v1::GetClusterStatusRequest(), status));
  return status;
}

}  // namespace

absl::Status JobsCommand(const Request& request, Surroundings& surroundings) {
  ASSIGN_OR_RETURN(const auto status, AskController(request));
  Json jobs = Json::array();
  Table table({"JOB", "VOLUME", "CLAIM", "FROM", "TO", "DONE", "STARTED"});
  for (const ClusterNode& node : status.nodes()) {
    for (const ClusterCopy& copy : node.copies()) {
      jobs.push_back(JobJson(node, copy));
      AddJob(node, copy, table);
    }
  }
  if (request.json) {
    PrintJson(jobs, surroundings.out);
  } else if (jobs.empty()) {
    surroundings.out << "nothing is under way\n";
  } else {
    table.Print(surroundings.out);
  }
  return absl::OkStatus();
}

absl::Status ClusterStatusCommand(const Request& request, Surroundings& surroundings) {
  ASSIGN_OR_RETURN(const auto status, AskController(request));
  if (request.json) {
    Json nodes = Json::array();
    for (const ClusterNode& node : status.nodes()) nodes.push_back(NodeJson(node));
    PrintJson({{"version", status.version()}, {"nodes", nodes}}, surroundings.out);
  } else if (status.nodes().empty()) {
    surroundings.out << "no node has reported to this controller\n";
  } else {
    Print(status, surroundings.out);
  }
  return absl::OkStatus();
}

}  // namespace holdfast::ctl
