// holdfastctl trash list | restore | purge
#include <ostream>

#include "admin_client.h"
#include "base/sizes.h"
#include "base/status_macros.h"
#include "ctl.h"
#include "fmt/format.h"
#include "text.h"

namespace holdfast::ctl {
namespace {

struct Trashed {
  TrashEntry entry;
  PoolIdentity pool;
};

struct Trash {
  std::vector<Trashed> all;  // that can be read
  absl::Status unread;       // what is wrong with the pools that cannot
};

Trash ReadTrash(const Request& request) {
  Trash trash;
  trash.unread = ReadCatalogs(request.pools, [&](Catalog& catalog) -> absl::Status {
    ASSIGN_OR_RETURN(const auto entries, catalog.ListTrash());
    for (const TrashEntry& entry : entries) trash.all.push_back({entry, catalog.identity()});
    return absl::OkStatus();
  });
  return trash;
}

// Several may have one id or name: each delete of one that was made anew makes another, and other
// pools know nothing of it.
absl::StatusOr<Trashed> Find(const Trash& trash, const std::string& reference) {
  std::vector<Trashed> found;
  for (const Trashed& trashed : trash.all) {
    const TrashEntry& entry = trashed.entry;
    if (entry.incarnation == reference) return trashed;
    if (entry.id == reference || entry.name == reference) found.push_back(trashed);
  }
  RETURN_IF_ERROR(trash.unread);
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return absl::NotFoundError(
        fmt::format("trash '{}': expected an incarnation, id or name in the trash, found none; see "
                    "'holdfastctl trash list'",
                    Printable(reference)));
  }
  return absl::FailedPreconditionError(
      fmt::format("trash '{}': expected one entry, found {}; name it by its incarnation",
                  Printable(reference), found.size()));
}

const char* KindName(ObjectKind kind) {
  return kind == ObjectKind::kVolume ? "volume" : "snapshot";
}

// One refusal a line; the others are done all the same.
absl::Status Collected(const std::vector<absl::Status>& statuses) {
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string lines;
  for (const absl::Status& status : statuses) {
    if (status.ok()) continue;
    code = status.code();
    lines += (lines.empty() ? "" : "\n") + std::string(status.message());
  }
  return absl::Status(code, lines);
}

}  // namespace

absl::Status ListTrashCommand(const Request& request, Surroundings& surroundings) {
  const Trash trash = ReadTrash(request);
  nlohmann::ordered_json json = {{"trash", nlohmann::ordered_json::array()}};
  Table table({"INCARNATION", "KIND", "ID", "NAME", "POOL", "SIZE", "DELETED"});
  for (const Trashed& trashed : trash.all) {
    const TrashEntry& entry = trashed.entry;
    json["trash"].push_back({{"incarnation", entry.incarnation},
                             {"kind", KindName(entry.kind)},
                             {"id", entry.id},
                             {"name", entry.name},
                             {"pool", trashed.pool.name},
                             {"size_bytes", entry.size_bytes},
                             {"deleted", FormatTime(entry.deleted_unix_nanos)}});
    table.Add({entry.incarnation, KindName(entry.kind), entry.id, Printable(entry.name),
               trashed.pool.name, FormatBytes(entry.size_bytes),
               FormatTime(entry.deleted_unix_nanos)});
  }
  if (request.json) {
    PrintJson(json, surroundings.out);
  } else {
    table.Print(surroundings.out);
  }
  return trash.unread;
}

absl::Status RestoreTrashCommand(const Request& request, Surroundings& surroundings) {
  const Trash trash = ReadTrash(request);
  std::vector<absl::Status> statuses;
  nlohmann::ordered_json json = {{"restored", nlohmann::ordered_json::array()}};
  for (const std::string& reference : request.trash) {
    const auto restore = [&]() -> absl::Status {
      ASSIGN_OR_RETURN(const Trashed trashed, Find(trash, reference));
      admin::v1::RestoreTrashRequest call;
      call.set_incarnation(trashed.entry.incarnation);
      admin::v1::RestoreTrashResponse answer;
      RETURN_IF_ERROR(CallServer(request, &AdminStub::RestoreTrash, call, answer));
      json["restored"].push_back({{"id", answer.id()}, {"name", answer.name()}});
      if (!request.json) {
        surroundings.out << fmt::format("restored {} ({})\n", answer.id(),
                                        Printable(answer.name()));
      }
      return absl::OkStatus();
    };
    statuses.push_back(restore());
  }
  if (request.json) PrintJson(json, surroundings.out);
  return Collected(statuses);
}

absl::Status PurgeTrashCommand(const Request& request, Surroundings& surroundings) {
  if (request.all == !request.trash.empty()) {
    return absl::InvalidArgumentError(
        "trash purge: expected entries or --all, found both or neither");
  }
  const Trash trash = ReadTrash(request);
  std::vector<Trashed> chosen = trash.all;
  if (!request.all) {
    chosen.clear();
    // Nothing is purged when one of the names is wrong.
    for (const std::string& reference : request.trash) {
      ASSIGN_OR_RETURN(const Trashed trashed, Find(trash, reference));
      chosen.push_back(trashed);
    }
  }
  std::vector<absl::Status> statuses;
  if (request.all) statuses.push_back(trash.unread);
  nlohmann::ordered_json json = {{"purged", nlohmann::ordered_json::array()}};
  for (const Trashed& trashed : chosen) {
    const TrashEntry& entry = trashed.entry;
    admin::v1::PurgeTrashRequest call;
    call.set_incarnation(entry.incarnation);
    admin::v1::PurgeTrashResponse answer;
    statuses.push_back(CallServer(request, &AdminStub::PurgeTrash, call, answer));
    if (!statuses.back().ok() || !answer.purged()) continue;
    json["purged"].push_back({{"incarnation", entry.incarnation}, {"id", entry.id}});
    if (!request.json) {
      surroundings.out << fmt::format("purged {} {} ({}, {})\n", KindName(entry.kind), entry.id,
                                      Printable(entry.name), FormatBytes(entry.size_bytes));
    }
  }
  if (request.json) PrintJson(json, surroundings.out);
  return Collected(statuses);
}

}  // namespace holdfast::ctl
