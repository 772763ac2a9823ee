#include "tests/powercut/cut_check.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "base/status_macros.h"
#include "catalog/catalog.h"
#include "tests/integration/child.h"
#include "tests/powercut/attached.h"

namespace holdfast::powercut {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> NamesIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::string LastOf(const std::string& text) {
  constexpr size_t kBytes = 8192;
  return text.size() <= kBytes ? text : text.substr(text.size() - kBytes);
}

}  // namespace

CutCheck::CutCheck(const Recording& recording, std::string folder, LoggedDisk::Pages pages,
                   size_t cut, uint64_t seed)
    : recording_(recording),
      folder_(std::move(folder)),
      cut_(cut),
      random_(seed),
      disk_(std::move(pages)) {}

// After a violation anything may be left; what is ours goes, whatever it is.
CutCheck::~CutCheck() {
  calls_.reset();
  driver_.reset();
  if (pool_ != nullptr) ReleaseBelow(folder_, {pool_->path(), folder_ + "/fuse"}, pool_->loop());
  pool_.reset();
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::vector<std::string> CutCheck::Run() {
  CompareAll();
  if (violations_.empty()) return violations_;
  if (driver_ != nullptr) Violation("the driver's log:\n" + driver_->Log());
  Violation("the kernel's log:\n" + LastOf(Execute({"dmesg"}).output));
  return violations_;
}

void CutCheck::CompareAll() {
  if (const absl::Status up = BringUp(); !up.ok()) return Violation(Text(up));
  if (!AskTheDriver()) return;
  CompareObjects();
  CompareCatalogAndPool();
  for (auto& [id, found] : found_) CompareDigest(id, found);
  if (!violations_.empty()) return;
  ShowWriters();
  ShowAnother();
  CreateAnother();
  if (violations_.empty()) TakeDown();
}

absl::Status CutCheck::BringUp() {
  fs::create_directories(folder_);
  pool_ = std::make_unique<PoolDisk>(disk_, folder_);
  RETURN_IF_ERROR(pool_->status());
  RETURN_IF_ERROR(pool_->Mount(recording_.options().pool));
  driver_ = std::make_unique<DriverProcess>(folder_, std::vector<std::string>{pool_->path()});
  if (!driver_->Start()) {
    return absl::DataLossError("the driver does not start");
  }
  calls_ = std::make_unique<Calls>(driver_->socket(), driver_->kubelet());
  return absl::OkStatus();
}

bool CutCheck::AskTheDriver() {
  const auto volumes = calls_->csi().Call(csi::v1::ListVolumesRequest());
  const auto snapshots = calls_->csi().Call(csi::v1::ListSnapshotsRequest());
  for (const absl::Status& status : {volumes.status(), snapshots.status()}) {
    if (!status.ok()) Violation("a list: " + Text(status));
  }
  if (!violations_.empty()) return false;
  for (const auto& entry : volumes->entries()) {
    found_[entry.volume().volume_id()].size_bytes =
        static_cast<uint64_t>(entry.volume().capacity_bytes());
  }
  for (const auto& entry : snapshots->entries()) {
    found_[entry.snapshot().snapshot_id()].size_bytes =
        static_cast<uint64_t>(entry.snapshot().size_bytes());
  }
  return true;
}

void CutCheck::CompareObjects() {
  std::set<std::string> known;
  for (const auto& object : recording_.ledger().objects()) {
    if (object->id.empty()) continue;  // never made
    known.insert(object->id);
    CompareObject(*object);
  }
  for (const auto& [id, found] : found_) {
    if (!known.contains(id)) Violation(id + ": nobody ever asked for it");
  }
}

void CutCheck::CompareObject(const Object& object) {
  const PossibleStates states = StatesAt(object, cut_);
  const auto at = found_.find(object.id);
  ++objects_;
  if (at == found_.end()) {
    if (!states.absent) Violation(object.name + ": acknowledged, and gone");
    return;
  }
  if (states.present.empty()) {
    return Violation(object.name + ": there, though it was deleted or not asked for yet");
  }
  std::string sizes;
  at->second.name = object.name;
  for (const Facts* facts : states.present) {
    if (facts->size_bytes == at->second.size_bytes) at->second.candidates.push_back(facts);
    sizes += fmt::format(" {}", facts->size_bytes);
  }
  if (at->second.candidates.empty()) {
    Violation(fmt::format("{}: expected a size of{}, found {}", object.name, sizes,
                          at->second.size_bytes));
  }
}

void CutCheck::CompareCatalogAndPool() {
  CompareRows("volume", "capacity_bytes");
  CompareRows("snapshot", "size_bytes");
  if (!violations_.empty()) return;
  CompareImages();
}

// What holdfastctl says is what the driver says, and each row has an image of its size.
void CutCheck::CompareRows(const std::string& noun, const char* size) {
  const Ended ended =
      Execute({ProgramPath("holdfastctl"), "--pool", pool_->path(), "--json", noun, "list"});
  const auto json = nlohmann::json::parse(ended.output, nullptr, /*allow_exceptions=*/false);
  if (ended.exit_code != 0 || json.is_discarded()) {
    return Violation("holdfastctl " + noun + " list: " + ended.output);
  }
  for (const auto& row : json.at(noun + "s")) {
    const std::string id = row.at("id");
    const auto at = found_.find(id);
    if (at == found_.end() || row.at("state") != "ready") {
      Violation(fmt::format("{}: a row in state {}, which the driver does not list", id,
                            row.at("state").get<std::string>()));
      continue;
    }
    at->second.image =
        fmt::format("{}/{}s/{}.img", pool_->path(), noun, row.at("incarnation").get<std::string>());
    std::error_code absent;
    const uint64_t bytes = fs::file_size(at->second.image, absent);
    if (absent || bytes != at->second.size_bytes || row.at(size) != bytes) {
      Violation(fmt::format("{} ({}): expected an image of {} bytes, found {}", id, at->second.name,
                            at->second.size_bytes,
                            absent ? absent.message() : std::to_string(bytes)));
    }
  }
}

// Every image has its row, and nothing half-done is left.
void CutCheck::CompareImages() {
  std::set<std::string> claimed;
  for (const auto& [id, found] : found_) {
    if (found.image.empty()) Violation(id + ": listed by the driver, not by holdfastctl");
    claimed.insert(found.image);
  }
  for (const std::string folder : {"/volumes", "/snapshots"}) {
    for (const std::string& name : NamesIn(pool_->path() + folder)) {
      if (claimed.contains(pool_->path() + folder + "/" + name)) continue;
      Violation(fmt::format("{}/{}: an image without a row", folder, name));
    }
  }
  const auto work = NamesIn(pool_->path() + "/work");
  if (!work.empty()) Violation(fmt::format("work: {}", fmt::join(work, ", ")));
  std::set<std::string> trash;
  const auto catalog = OpenCatalog(pool_->path() + "/catalog.db", Catalog::Access::kReadOnly);
  const auto entries = catalog.ok() ? (*catalog)->ListTrash() : catalog.status();
  if (!entries.ok()) return Violation("the trash: " + Text(entries.status()));
  for (const TrashEntry& entry : *entries) trash.insert(entry.incarnation + ".img");
  for (const std::string& name : NamesIn(pool_->path() + "/trash")) {
    if (trash.erase(name) == 0) Violation(fmt::format("trash/{}: an image without a row", name));
  }
  for (const std::string& name : trash) {
    Violation(fmt::format("trash/{}: a row without an image", name));
  }
}

void CutCheck::TakeDown() {
  calls_.reset();
  if (driver_->Stop() != 0) Violation("the driver does not stop");
  for (const std::string& mount : MountsBelow(folder_)) {
    if (mount != pool_->path() && mount != folder_ + "/fuse") Violation(mount + ": left mounted");
  }
  for (const Attached& loop : SettledLoopsBelow(folder_, 1)) {
    if (loop.device != pool_->loop()) Violation(loop.file + ": left attached");
  }
  for (const std::string& folder : {driver_->run_folder(), driver_->temporary()}) {
    for (const std::string& name : NamesIn(folder)) Violation(name + ": left in " + folder);
  }
  if (const absl::Status unmounted = pool_->Unmount(); !unmounted.ok()) Violation(Text(unmounted));
}

}  // namespace holdfast::powercut
