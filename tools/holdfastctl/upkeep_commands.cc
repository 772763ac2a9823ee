// holdfastctl pool grow | drain-order
#include <ostream>

#include "admin_client.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "ctl.h"
#include "engine/image/upkeep/drain_order.h"
#include "fmt/format.h"
#include "text.h"

namespace holdfast::ctl {
namespace {

using Json = nlohmann::ordered_json;
using Space = admin::v1::GrowPoolResponse::Space;

uint64_t Spare(const Space& space) {
  return SaturatingSubtract(space.free_bytes(), space.owed_bytes() + space.floor_bytes());
}

Json SpaceJson(const Space& space) {
  return {{"size_bytes", space.size_bytes()},
          {"free_bytes", space.free_bytes()},
          {"owed_bytes", space.owed_bytes()},
          {"floor_bytes", space.floor_bytes()},
          {"spare_bytes", Spare(space)}};
}

struct Phase {
  const char* key;
  const char* title;
  std::vector<DrainStep> steps;
};

// Of all pools together: what pods see goes first everywhere.
absl::StatusOr<std::vector<Phase>> PlanPhases(const Request& request, Host& host) {
  std::vector<Phase> phases = {{"targets", "What pods see", {}},
                               {"stages", "Stages", {}},
                               {"loops", "Loop devices", {}},
                               {"pools", "Pools, once the server has stopped", {}}};
  for (const std::string& path : request.pools) {
    ASSIGN_OR_RETURN(const auto pool, OpenPoolReadOnly(host, path));
    ASSIGN_OR_RETURN(const DrainOrder order, PlanDrain(*pool));
    const std::vector<DrainStep>* lists[] = {&order.targets, &order.stages, &order.loops,
                                             &order.pool};
    for (size_t i = 0; i < phases.size(); ++i) {
      phases[i].steps.insert(phases[i].steps.end(), lists[i]->begin(), lists[i]->end());
    }
  }
  return phases;
}

void PrintPhases(const std::vector<Phase>& phases, std::ostream& out) {
  out << "With kubelet: 'kubectl drain NODE --ignore-daemonsets' ends the pods; kubelet then "
         "unpublishes and\nunstages their volumes, which is recorded as a clean end. What is left "
         "then, or by hand:\n";
  int number = 0;
  for (const Phase& phase : phases) {
    if (std::string(phase.key) == "pools") {
      out << fmt::format("{}. Stop the server (SIGTERM).\n", ++number);
    }
    out << fmt::format("{}. {}{}\n", ++number, phase.title, phase.steps.empty() ? ": none" : ":");
    for (const DrainStep& step : phase.steps) {
      out << fmt::format("   {}\n", step.command.empty() ? "# " + Printable(step.object) +
                                                               " goes with its last mount"
                                                         : Printable(step.command));
      out << fmt::format("      {}{}\n", Printable(step.detail),
                         step.held_by.empty() ? "" : ", held by " + Printable(step.held_by));
    }
  }
}

}  // namespace

absl::Status GrowPoolCommand(const Request& request, Surroundings& surroundings) {
  Json json = {{"pools", Json::array()}};
  Table table({"NAME", "", "SIZE", "FREE", "OWED", "FLOOR", "SPARE"});
  for (const std::string& path : request.pools) {
    ASSIGN_OR_RETURN(const auto catalog, OpenPoolCatalog(path, Catalog::Access::kReadOnly));
    admin::v1::GrowPoolRequest call;
    call.set_pool(catalog->identity().uuid);
    admin::v1::GrowPoolResponse answer;
    RETURN_IF_ERROR(CallServer(request, &AdminStub::GrowPool, call, answer));
    json["pools"].push_back({{"name", answer.name()},
                             {"before", SpaceJson(answer.before())},
                             {"after", SpaceJson(answer.after())}});
    for (const auto& [when, space] :
         {std::pair("before", answer.before()), std::pair("after", answer.after())}) {
      table.Add({Printable(answer.name()), when, FormatBytes(space.size_bytes()),
                 FormatBytes(space.free_bytes()), FormatBytes(space.owed_bytes()),
                 FormatBytes(space.floor_bytes()), FormatBytes(Spare(space))});
    }
  }
  if (request.json) {
    PrintJson(json, surroundings.out);
  } else {
    table.Print(surroundings.out);
  }
  return absl::OkStatus();
}

absl::Status DrainOrderCommand(const Request& request, Surroundings& surroundings) {
  ASSIGN_OR_RETURN(Host * host, surroundings.host());
  ASSIGN_OR_RETURN(const auto phases, PlanPhases(request, *host));
  if (!request.json) {
    PrintPhases(phases, surroundings.out);
    return absl::OkStatus();
  }
  Json json = Json::object();
  for (const Phase& phase : phases) {
    json[phase.key] = Json::array();
    for (const DrainStep& step : phase.steps) {
      json[phase.key].push_back({{"object", step.object},
                                 {"detail", step.detail},
                                 {"held_by", step.held_by},
                                 {"command", step.command}});
    }
  }
  PrintJson(json, surroundings.out);
  return absl::OkStatus();
}

}  // namespace holdfast::ctl
