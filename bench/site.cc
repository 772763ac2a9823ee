#include "bench/site.h"

#include <filesystem>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/clients.h"

namespace holdfast::bench {
namespace {

constexpr uint64_t kGib = uint64_t{1} << 30;
constexpr uint64_t kSmallBytes = 6 * kGib;
constexpr uint64_t kLargeBytes = 48 * kGib;

const char* Name(SiteKind kind) {
  switch (kind) {
    case SiteKind::kXfs:
      return "xfs";
    case SiteKind::kBtrfs:
      return "btrfs";
    case SiteKind::kLarge:
      return "large";
  }
  return "?";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Site>> Site::Make(SiteKind kind, const std::string& folder,
                                                 const std::string& programs) {
  const std::string own = fmt::format("{}/{}", folder, Name(kind));
  std::filesystem::create_directories(own + "/targets");
  const std::string disk = own + "/disk.img";
  const uint64_t bytes = kind == SiteKind::kLarge ? kLargeBytes : kSmallBytes;
  RETURN_IF_ERROR(MakeFile(disk, bytes));
  if (kind != SiteKind::kLarge) RETURN_IF_ERROR(FillFile(disk, bytes));
  // -K: no discard, what was written below stays written.
  const std::vector<std::string> mkfs =
      kind == SiteKind::kBtrfs
          ? std::vector<std::string>{"mkfs.btrfs", "-q", "-f", "-K"}
          : std::vector<std::string>{"mkfs.xfs", "-q", "-f", "-K", "-m", "reflink=1"};
  ASSIGN_OR_RETURN(HandMount mount, HandMount::Make(disk, own + "/disk", mkfs));
  std::unique_ptr<Site> site(new Site(std::move(mount)));
  site->programs_ = programs;
  site->folder_ = own;
  site->pool_ = own + "/disk/pool";
  site->by_hand_ = own + "/disk/by-hand";
  site->targets_ = own + "/targets";
  std::filesystem::create_directories(site->pool_);
  std::filesystem::create_directories(site->by_hand_);
  ASSIGN_OR_RETURN(
      site->driver_,
      Driver::Start(
          {.programs = programs, .folder = own, .pool = site->pool_, .targets = site->targets_}));
  return site;
}

absl::StatusOr<Driver*> Site::CrowdedDriver() {
  if (crowded_ != nullptr) return crowded_.get();
  const std::string folder = folder_ + "/crowded", pool = folder_ + "/disk/crowded";
  std::filesystem::create_directories(folder);
  std::filesystem::create_directories(pool);
  ASSIGN_OR_RETURN(
      auto driver,
      Driver::Start({.programs = programs_, .folder = folder, .pool = pool, .targets = targets_}));
  RETURN_IF_ERROR(CallTimes(kManyVolumes, [&](const std::string& name) {
    return driver->CreateVolume({.name = name, .bytes = kTinyBytes, .thick = false}).status();
  }));
  crowded_ = std::move(driver);
  return crowded_.get();
}

void Bench::Leave() {
  if (site_ == nullptr) return;
  site_.reset();
  std::error_code ignored;  // the folder above is removed by tools/bench in any case
  std::filesystem::remove_all(fmt::format("{}/{}", folder_, Name(kind_)), ignored);
}

absl::StatusOr<Site*> Bench::At(SiteKind kind) {
  if (site_ != nullptr && kind_ == kind) return site_.get();
  Leave();
  ASSIGN_OR_RETURN(site_, Site::Make(kind, folder_, programs_));
  kind_ = kind;
  Settle(site_->pool());
  return site_.get();
}

}  // namespace holdfast::bench
