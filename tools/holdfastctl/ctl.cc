#include "ctl.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <ostream>
#include <sstream>

#include "CLI/CLI.hpp"
#include "base/build_info.h"
#include "base/status_macros.h"
#include "fmt/format.h"

namespace holdfast::ctl {
namespace {

using Command = absl::Status (*)(const Request&, Surroundings&);

// The server's variables are lawful too: "kubectl exec" runs us in its environment.
constexpr std::string_view kKnownVariables[] = {
    "HOLDFAST_ADMIN_SOCKET",     "HOLDFAST_AGENT_ADDRESS",
    "HOLDFAST_AGENT_LISTEN",     "HOLDFAST_CONTROLLER",
    "HOLDFAST_ENDPOINT",         "HOLDFAST_ENROL_SERVICE_ACCOUNT",
    "HOLDFAST_ENROL_TOKEN",      "HOLDFAST_FREEZE_DEADLINE",
    "HOLDFAST_HTTP_LISTEN",      "HOLDFAST_KUBELET_REGISTRATION",
    "HOLDFAST_KUBELET_ROOT",     "HOLDFAST_LOG_FORMAT",
    "HOLDFAST_LOG_LEVEL",        "HOLDFAST_MAX_VOLUMES",
    "HOLDFAST_NODE_ID",          "HOLDFAST_POOL",
    "HOLDFAST_REGISTRY_LISTEN",  "HOLDFAST_RUN_FOLDER",
    "HOLDFAST_SHUTDOWN_TIMEOUT", "HOLDFAST_TLS_CA",
    "HOLDFAST_TLS_CERT",         "HOLDFAST_TLS_FOLDER",
    "HOLDFAST_TLS_KEY",          "HOLDFAST_TRASH_GRACE",
    "HOLDFAST_TRIM_INTERVAL",
};

absl::Status CheckEnvironment(const std::map<std::string, std::string>& environment) {
  for (const auto& [name, value] : environment) {
    if (!name.starts_with("HOLDFAST_")) continue;
    if (std::find(std::begin(kKnownVariables), std::end(kKnownVariables), name) ==
        std::end(kKnownVariables)) {
      return absl::InvalidArgumentError(
          fmt::format("environment variable {}: expected one that Holdfast knows, found none such; "
                      "correct or unset it",
                      name));
    }
  }
  return absl::OkStatus();
}

// HOLDFAST_POOL holds folders like PATH does, with ':' between them.
std::vector<std::string> PoolsOf(const std::map<std::string, std::string>& environment) {
  std::vector<std::string> pools;
  const auto found = environment.find("HOLDFAST_POOL");
  if (found == environment.end()) return pools;
  std::istringstream list(found->second);
  for (std::string pool; std::getline(list, pool, ':');) {
    if (!pool.empty()) pools.push_back(pool);
  }
  return pools;
}

// Where the server's own defaults put it.
std::string AdminSocketOf(const std::map<std::string, std::string>& environment) {
  const auto value = [&environment](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string() : found->second;
  };
  if (const std::string socket = value("HOLDFAST_ADMIN_SOCKET"); !socket.empty()) return socket;
  const std::string folder = value("HOLDFAST_RUN_FOLDER");
  return (folder.empty() ? "/run/holdfast" : folder) + "/admin.sock";
}

// The command line, as CLI11 sees it. `command` is what was chosen.
class CommandLine {
 public:
  CommandLine() {
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.set_version_flag("--version", std::string("holdfastctl ") + kDriverVersion);
    app_.add_option("--pool", pools_, "Folder of a pool; repeatable (or HOLDFAST_POOL, PATH:PATH)")
        ->type_name("PATH")
        ->allow_extra_args(false);
    app_.add_option("--admin-socket", request.admin_socket,
                    "The server's local socket (or HOLDFAST_ADMIN_SOCKET) "
                    "[/run/holdfast/admin.sock]")
        ->type_name("PATH");
    app_.add_flag("--json", request.json, "Answer in JSON");
    AddPoolCommands();
    AddVolumeCommands();
    AddTrashCommands();
    AddOrphanCommands();
    AddPkiCommands();
    CLI::App* cluster = Group("cluster", "What a controller knows of its nodes");
    Leaf(cluster, "status", "Show nodes, pools, space and refused volumes", ClusterStatusCommand);
    Leaf(&app_, "jobs", "Show what a controller knows to be under way: copies between nodes",
         JobsCommand);
    Leaf(&app_, "doctor", "Compare catalog, pool and kernel; tell what is wrong and what helps",
         DoctorCommand)
        ->add_flag("--fix", request.fix, "Do what is offered");
    CLI::App* snapshot = Group("snapshot", "Snapshots in the pools");
    Leaf(snapshot, "list", "List snapshots in every state", ListSnapshotsCommand);
  }

  // Throws CLI::ParseError, whose help variants are no errors.
  void Parse(std::vector<std::string> arguments) {
    std::reverse(arguments.begin(), arguments.end());  // CLI11's way
    app_.parse(arguments);
    request.pools = command == InitPoolCommand || !named_.empty() ? named_ : pools_;
  }

  // What CLI11 could not place: it complains of the missing command before it tells of these.
  std::vector<std::string> Leftovers() const { return app_.remaining(true); }

  int PrintHelp(const CLI::ParseError& error, std::ostream& out) {
    return app_.exit(error, out, out);
  }

  Request request;
  Command command = nullptr;

 private:
  CLI::App* Group(const std::string& name, const std::string& description) {
    CLI::App* group = app_.add_subcommand(name, description);
    group->require_subcommand(1);
    group->fallthrough();
    return group;
  }

  CLI::App* Leaf(CLI::App* group, const std::string& name, const std::string& description,
                 Command chosen) {
    CLI::App* leaf = group->add_subcommand(name, description);
    leaf->fallthrough();
    leaf->callback([this, chosen] { command = chosen; });
    return leaf;
  }

  void AddPoolCommands() {
    CLI::App* pool = Group("pool", "Folders that hold volumes");
    CLI::App* init = Leaf(pool, "init", "Make a pool in a folder on XFS or btrfs", InitPoolCommand);
    init->add_option("path", named_, "The folder")->required()->expected(1)->type_name("PATH");
    init->add_option("--name", request.name,
                     "What the class parameter 'pool' will say [the folder's own name]");
    init->add_flag_callback(
        "--overcommit", [this] { request.overcommit = "on"; },
        "Let classes reserve less than 100 %: a pool that runs low stops their volumes");
    CLI::App* set =
        Leaf(pool, "set", "Change a pool's options while no server serves it", SetPoolCommand);
    set->add_option("path", named_, "The folder; else that of --pool")->type_name("PATH");
    set->add_option("--overcommit", request.overcommit,
                    "Whether classes may reserve less than 100 %")
        ->check(CLI::IsMember({"on", "off"}))
        ->required();
    CLI::App* status =
        Leaf(pool, "status", "Show size, free, owed, floor, trash and counts", PoolStatusCommand);
    status->add_option("path", named_, "The folders; else those of --pool")->type_name("PATH");
    CLI::App* grow =
        Leaf(pool, "grow", "Grow the filesystem to a disk that got larger", GrowPoolCommand);
    grow->add_option("path", named_, "The folders; else those of --pool")->type_name("PATH");
    CLI::App* drain = Leaf(pool, "drain-order",
                           "Show what stands on the pools, in the order in which it must go, and "
                           "the commands",
                           DrainOrderCommand);
    drain->add_option("path", named_, "The folders; else those of --pool")->type_name("PATH");
  }

  void AddTrashCommands() {
    CLI::App* trash = Group("trash", "What was deleted and is kept for its grace");
    Leaf(trash, "list", "List it, oldest first", ListTrashCommand);
    CLI::App* restore =
        Leaf(trash, "restore", "Bring it back under its old id", RestoreTrashCommand);
    restore->add_option("entry", request.trash, "Incarnation, id or name")->required();
    CLI::App* purge = Leaf(trash, "purge", "Remove it for good", PurgeTrashCommand);
    purge->add_option("entry", request.trash, "Incarnation, id or name");
    purge->add_flag("--all", request.all, "Everything in the trash of the pools");
  }

  void AddOrphanCommands() {
    CLI::App* orphan = Group("orphan", "Files in the pools that no row claims");
    Leaf(orphan, "list", "List them, with what is in them", ListOrphansCommand);
    CLI::App* adopt = Leaf(orphan, "adopt", "Make a volume of one", AdoptOrphanCommand);
    adopt->add_option("file", request.orphan, "As 'orphan list' names it, such as volumes/FILE")
        ->required();
    adopt->add_option("--name", request.name, "The name of the volume, as CSI would give it")
        ->required();
    adopt->add_flag("--block", request.raw_block, "Raw block: as it is, whatever is in it");
    adopt->add_flag("--thick", request.thick, "Allocate its holes [thin]");
  }

  void AddVolumeCommands() {
    CLI::App* volume = Group("volume", "Volumes in the pools");
    Leaf(volume, "list", "List volumes in every state", ListVolumesCommand);
    CLI::App* inspect =
        Leaf(volume, "inspect", "Show the whole record of a volume", InspectVolumeCommand);
    inspect->add_option("volume", request.volume, "Its id, name, or claim as NAMESPACE/CLAIM")
        ->required();
    CLI::App* acknowledge =
        Leaf(volume, "acknowledge", "Accept what a stage found and refused, as the new record",
             AcknowledgeVolumeCommand);
    acknowledge->add_option("volume", request.volume, "Its id, name, or claim as NAMESPACE/CLAIM")
        ->required();
    acknowledge->add_flag("--as-recorded", request.as_recorded,
                          "It was put back: keep the record, which the next stage compares again");
  }

  void AddPkiCommands() {
    CLI::App* pki =
        Group("pki", "Certificates of controller and nodes, where nobody else makes them");
    const auto in_folder = [this](CLI::App* leaf) {
      leaf->add_option("folder", request.folder, "Where the authority is kept")
          ->required()
          ->type_name("PATH");
    };
    in_folder(Leaf(pki, "init", "Make an authority in a folder", InitPkiCommand));
    CLI::App* issue = Leaf(pki, "issue", "Make a certificate, or renew one", IssuePkiCommand);
    in_folder(issue);
    CLI::Option* const node =
        issue->add_option("--node", request.node, "For the agent of that node")->type_name("NAME");
    CLI::Option* const controller =
        issue->add_flag("--for-controller", for_controller_, "For the controller")->excludes(node);
    issue->add_option("--days", request.days, "How long it holds [365]")
        ->default_val(365)
        ->check(CLI::Range(1, 3650));
    issue->callback([this, node, controller] {
      if (node->empty() == controller->empty()) {
        throw CLI::ValidationError("expected --for-controller or --node NAME, found neither");
      }
      command = IssuePkiCommand;
    });
  }

  CLI::App app_{"Looks after Holdfast's pools, volumes and snapshots.", "holdfastctl"};
  std::vector<std::string> pools_;
  bool for_controller_ = false;
  std::vector<std::string> named_;
};

int Misused(std::string_view sentence, std::ostream& err) {
  err << fmt::format("holdfastctl: {}; see 'holdfastctl --help'\n", sentence);
  return kExitMisused;
}

// CLI11 spreads some of its messages over lines.
std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

int Run(const std::vector<std::string>& arguments, Surroundings& surroundings) {
  CommandLine line;
  try {
    line.Parse(arguments);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return line.PrintHelp(error, surroundings.out);
    const std::vector<std::string> leftovers = line.Leftovers();
    return Misused(leftovers.empty()
                       ? OneLine(error.what())
                       : fmt::format("expected a {}, found '{}'",
                                     leftovers.front().starts_with('-') ? "known flag" : "command",
                                     OneLine(leftovers.front())),
                   surroundings.err);
  }
  if (absl::Status status = CheckEnvironment(surroundings.environment); !status.ok()) {
    return Misused(std::string(status.message()), surroundings.err);
  }
  if (line.request.pools.empty()) line.request.pools = PoolsOf(surroundings.environment);
  if (line.request.admin_socket.empty()) {
    line.request.admin_socket = AdminSocketOf(surroundings.environment);
  }
  // What a refusal says is typed as it stands: the server knows its pools.
  const Command without_pool[] = {AcknowledgeVolumeCommand, ClusterStatusCommand, JobsCommand,
                                  InitPkiCommand, IssuePkiCommand};
  if (line.request.pools.empty() && std::find(std::begin(without_pool), std::end(without_pool),
                                              line.command) == std::end(without_pool)) {
    return Misused("expected --pool PATH or HOLDFAST_POOL, found neither", surroundings.err);
  }
  const absl::Status status = line.command(line.request, surroundings);
  if (status.ok()) return kExitDone;
  std::istringstream refusals{std::string(status.message())};
  for (std::string refusal; std::getline(refusals, refusal);) {
    surroundings.err << "holdfastctl: " << refusal << '\n';
  }
  return kExitRefused;
}

absl::StatusOr<std::unique_ptr<Catalog>> OpenPoolCatalog(const std::string& pool,
                                                         Catalog::Access access) {
  auto catalog = OpenCatalog(pool + "/catalog.db", access);
  if (absl::IsNotFound(catalog.status())) {
    return absl::FailedPreconditionError(
        fmt::format("pool {}: expected a pool's catalog, found none; mount the pool's disk there, "
                    "or make a pool with 'holdfastctl pool init'",
                    pool));
  }
  return catalog;
}

absl::Status ReadCatalogs(const std::vector<std::string>& pools, const CatalogUse& use) {
  absl::Status unread;
  for (const std::string& pool : pools) {
    const auto read = [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const auto catalog, OpenPoolCatalog(pool, Catalog::Access::kReadOnly));
      return use(*catalog);
    };
    const absl::Status status = read();
    if (status.ok()) continue;
    const std::string before = unread.ok() ? "" : std::string(unread.message()) + "\n";
    unread = absl::Status(status.code(), before + std::string(status.message()));
  }
  return unread;
}

}  // namespace holdfast::ctl
