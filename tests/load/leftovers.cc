#include "tests/load/leftovers.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <thread>

#include "base/sizes.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "nlohmann/json.hpp"
#include "tests/integration/child.h"
#include "tests/integration/integration_test.h"

namespace holdfast::load {
namespace {

// Inode chunks, the catalog's file and log; btrfs keeps a chunk of metadata more.
constexpr std::array<uint64_t, kPools> kAllowanceBytes = {24 * kMiB, 64 * kMiB};

// A folder for records may stay, the records may not.
std::vector<std::string> FilesBelow(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_directory()) files.push_back(entry.path());
  }
  return files;
}

void AddNew(const std::string& what, std::vector<std::string> before, std::vector<std::string> now,
            std::vector<std::string>& found) {
  std::sort(before.begin(), before.end());
  std::sort(now.begin(), now.end());
  std::vector<std::string> fresh;
  std::set_difference(now.begin(), now.end(), before.begin(), before.end(),
                      std::back_inserter(fresh));
  for (const std::string& one : fresh) found.push_back(what + ": " + one);
}

}  // namespace

Leftovers::Leftovers(std::string folder, const DriverProcess& driver, const Site& site)
    : folder_(std::move(folder)),
      driver_(driver),
      site_(site),
      mounts_(MountsBelow(folder_)),
      loops_(LoopsBelow(folder_)) {
  for (int i = 0; i < kPools; ++i) {
    free_bytes_[static_cast<size_t>(i)] = FreeBytes(site_.pool(i).path, UINT64_MAX);
  }
  // Last: who called before has hung up by now.
  traces_ = TracesOf(driver.pid());
}

std::vector<std::string> Leftovers::Found() const {
  std::vector<std::string> found;
  AddNew("mounted", mounts_, MountsBelow(folder_), found);
  AddNew("in the run folder", {}, FilesBelow(driver_.run_folder()), found);
  AddNew("temporary", {}, NamesIn(driver_.temporary()), found);
  AddOfProcess(found);
  for (int pool = 0; pool < kPools; ++pool) AddOfPool(pool, found);
  return found;
}

std::string Leftovers::Summary() const {
  const Traces now = TracesOf(driver_.pid());
  std::string text =
      fmt::format("descriptors {} before, {} after; threads {} and {}\n", traces_.descriptors,
                  now.descriptors, traces_.threads, now.threads);
  for (int i = 0; i < kPools; ++i) {
    const uint64_t before = free_bytes_[static_cast<size_t>(i)];
    const uint64_t after = FreeBytes(site_.pool(i).path, 1);
    text += fmt::format("pool {}: {} free before, {} less after\n", site_.pool(i).name,
                        FormatBytes(before), FormatBytes(SaturatingSubtract(before, after)));
  }
  return text;
}

// The last user of a device or a connection goes a moment after its call was answered.
void Leftovers::AddOfProcess(std::vector<std::string>& found) const {
  Traces now = TracesOf(driver_.pid());
  std::vector<std::string> loops = LoopsBelow(folder_);
  for (int look = 0; look < 100; ++look) {
    if (loops.size() <= loops_.size() && now.files == traces_.files &&
        now.descriptors <= traces_.descriptors) {
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    now = TracesOf(driver_.pid());
    loops = LoopsBelow(folder_);
  }
  AddNew("attached", loops_, loops, found);
  AddNew("open in the driver", traces_.files, now.files, found);
  if (now.descriptors > traces_.descriptors) {
    found.push_back(fmt::format("{} descriptors, {} before", now.descriptors, traces_.descriptors));
  }
}

// Rows by holdfastctl, files by us.
void Leftovers::AddOfPool(int pool, std::vector<std::string>& found) const {
  const std::string& path = site_.pool(pool).path;
  const std::string text = MustRun({ProgramPath("holdfastctl"), "--json", "pool", "status", path});
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.contains("pools")) {
    found.push_back("pool status: " + text);
    return;
  }
  const auto& status = json["pools"][0];
  for (const char* rows : {"volumes", "snapshots", "trash_entries", "owed_bytes"}) {
    const auto count = status.find(rows);
    if (count == status.end() || *count != 0) {
      found.push_back(fmt::format("{}: {}: {}", path, rows,
                                  count == status.end() ? "not told" : count->dump()));
    }
  }
  for (const char* folder : {"volumes", "snapshots", "trash", "work"}) {
    AddNew(fmt::format("{}/{}", path, folder), {}, NamesIn(path + "/" + folder), found);
  }
  const uint64_t before = free_bytes_[static_cast<size_t>(pool)];
  const uint64_t allowed = kAllowanceBytes[static_cast<size_t>(pool)];
  const uint64_t now = FreeBytes(path, SaturatingSubtract(before, allowed));
  if (now + allowed < before) {
    found.push_back(fmt::format("{}: {} less free than before", path, FormatBytes(before - now)));
  }
}

}  // namespace holdfast::load
