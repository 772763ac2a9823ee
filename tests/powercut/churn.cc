#include "tests/powercut/churn.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "base/sizes.h"
#include "base/status_macros.h"
#include "catalog/catalog.h"
#include "tests/powercut/cells.h"

namespace holdfast::powercut {
namespace {

constexpr size_t kMostVolumes = 4, kMostSnapshots = 4;
constexpr uint64_t kGrowthBytes = 16 * kMiB;

// Another call has the volume, or the pool cannot promise more: nothing was done.
bool LawfullyRefused(const absl::Status& status) {
  return absl::IsAborted(status) || absl::IsResourceExhausted(status) || absl::IsOutOfRange(status);
}

}  // namespace

Churn::Churn(Recording& recording, size_t index, std::vector<size_t> writers)
    : recording_(recording),
      writers_(std::move(writers)),
      random_(recording.options_.seed * 37 + index) {
  for (size_t i = 0; i < kMostVolumes + 2; ++i) {
    free_volumes_.push_back(
        &recording_.ledger_.Add({.name = fmt::format("volume-{}-{}", index, i)}));
    free_snapshots_.push_back(&recording_.ledger_.Add(
        {.snapshot = true, .name = fmt::format("snapshot-{}-{}", index, i)}));
  }
}

void Churn::Run() {
  while (!recording_.Over()) {
    if (const absl::Status status = Step(); !status.ok()) return recording_.Fail(status);
    std::this_thread::sleep_for(std::chrono::milliseconds(Below(30)));
  }
}

absl::Status Churn::Step() {
  if (volumes_.size() >= kMostVolumes) return Delete(volumes_);
  if (snapshots_.size() >= kMostSnapshots) return Delete(snapshots_);
  const uint64_t dice = Below(100);
  if (dice < 20 || volumes_.empty()) return CreateFresh();
  if (dice < 40 || snapshots_.empty()) return SnapshotWriter();
  if (dice < 47) return SnapshotOwn();
  if (dice < 60) return Restore();
  if (dice < 66) return CloneOwn();
  if (dice < 70) return CloneWriter();
  if (dice < 78) return ExpandOwn();
  if (dice < 84) return ExpandWriter();
  return Delete(dice < 92 ? volumes_ : snapshots_);
}

absl::Status Churn::CreateFresh() {
  static constexpr Content kContents[] = {Content::kBlock, Content::kExt4, Content::kExt4,
                                          Content::kXfs, Content::kBtrfs};
  const Content content = kContents[Below(std::size(kContents))];
  return Create({.content = content, .bytes = SmallestBytes(content), .thin = Below(2) == 0},
                std::nullopt, std::nullopt);
}

absl::Status Churn::SnapshotWriter() {
  const size_t writer = AnyOf(writers_);
  const Object& source = *recording_.writers_[writer].object;
  return Snapshot(source.id, FactsOf(source), writer);
}

absl::Status Churn::SnapshotOwn() {
  const Object& source = *AnyOf(volumes_);
  return Snapshot(source.id, FactsOf(source), std::nullopt);
}

absl::Status Churn::Restore() {
  const Object& source = *AnyOf(snapshots_);
  const Facts& facts = FactsOf(source);
  const uint64_t bytes = Below(3) == 0 ? facts.size_bytes + kGrowthBytes : 0;
  return Create({.content = facts.content, .bytes = bytes, .snapshot_id = source.id}, std::nullopt,
                facts.origin);
}

absl::Status Churn::CloneOwn() {
  const Object& source = *AnyOf(volumes_);
  const Facts& facts = FactsOf(source);
  return Create({.content = facts.content, .volume_id = source.id}, std::nullopt, facts.origin);
}

absl::Status Churn::CloneWriter() {
  const size_t writer = AnyOf(writers_);
  const Object& source = *recording_.writers_[writer].object;
  return Create({.content = FactsOf(source).content, .volume_id = source.id}, writer, std::nullopt);
}

absl::Status Churn::Create(Asked asked, std::optional<size_t> writer,
                           std::optional<Origin> origin) {
  Object& object = *AnyOf(free_volumes_);
  asked.name = object.name;
  const auto created = Promise(object, Facts{.content = asked.content}, [&](Facts& facts) {
    auto made = recording_.calls_->Create(asked);
    if (!made.ok()) return made.status();
    object.id = made->id;
    facts.size_bytes = made->bytes;
    facts.origin = origin;
    return absl::OkStatus();
  });
  if (LawfullyRefused(created)) return absl::OkStatus();
  RETURN_IF_ERROR(created);
  Object::Event& event = object.events.back();
  if (writer) event.after->origin = Origin{*writer, event.span};
  ASSIGN_OR_RETURN(event.after->digest, DigestOf(object));
  std::erase(free_volumes_, &object);
  volumes_.push_back(&object);
  return absl::OkStatus();
}

absl::Status Churn::Snapshot(const std::string& volume, Facts source,
                             std::optional<size_t> writer) {
  Object& object = *AnyOf(free_snapshots_);
  const auto created = Promise(object, source, [&](Facts& facts) {
    auto made = recording_.calls_->Snapshot(volume, object.name);
    if (!made.ok()) return made.status();
    object.id = made->id;
    facts.size_bytes = made->bytes;
    return absl::OkStatus();
  });
  if (LawfullyRefused(created)) return absl::OkStatus();
  RETURN_IF_ERROR(created);
  Object::Event& event = object.events.back();
  if (writer) event.after->origin = Origin{*writer, event.span};
  ASSIGN_OR_RETURN(event.after->digest, DigestOf(object));
  std::erase(free_snapshots_, &object);
  snapshots_.push_back(&object);
  return absl::OkStatus();
}

absl::Status Churn::ExpandOwn() {
  Object& object = *AnyOf(volumes_);
  const absl::Status expanded = Promise(object, FactsOf(object), [&](Facts& facts) {
    auto bytes =
        recording_.calls_->Expand(object.id, facts.content, facts.size_bytes + kGrowthBytes);
    if (!bytes.ok()) return bytes.status();
    facts.size_bytes = *bytes;
    return absl::OkStatus();
  });
  return LawfullyRefused(expanded) ? absl::OkStatus() : expanded;
}

absl::Status Churn::ExpandWriter() {
  Object& object = *recording_.writers_[AnyOf(writers_)].object;
  const absl::Status expanded = Promise(object, FactsOf(object), [&](Facts& facts) {
    auto bytes =
        recording_.calls_->Expand(object.id, facts.content, facts.size_bytes + kGrowthBytes);
    if (!bytes.ok()) return bytes.status();
    facts.size_bytes = *bytes;
    return absl::OkStatus();
  });
  if (LawfullyRefused(expanded)) return absl::OkStatus();
  RETURN_IF_ERROR(expanded);
  // A mounted ext4 grows only where the machine allows it; the stage after the cut grows it too.
  if (FactsOf(object).content == Content::kExt4) return absl::OkStatus();
  return recording_.calls_->ExpandOnNode(object.id, FactsOf(object).size_bytes);
}

absl::Status Churn::Delete(std::vector<Object*>& objects) {
  if (objects.empty()) return absl::OkStatus();
  Object& object = *AnyOf(objects);
  const absl::Status deleted = Promise(object, std::nullopt, [&](Facts&) {
    return object.snapshot ? recording_.calls_->DeleteSnapshot(object.id)
                           : recording_.calls_->Delete(object.id);
  });
  if (LawfullyRefused(deleted)) return absl::OkStatus();
  RETURN_IF_ERROR(deleted);
  std::erase(objects, &object);
  (object.snapshot ? free_snapshots_ : free_volumes_).push_back(&object);
  return absl::OkStatus();
}

absl::Status Churn::Promise(Object& object, std::optional<Facts> after,
                            const std::function<absl::Status(Facts&)>& call) {
  object.events.push_back({{.begun = recording_.disk_.Position()}, after});
  Facts facts = after.value_or(Facts{});
  const absl::Status status = call(facts);
  const size_t acked = recording_.disk_.Position();
  if (!status.ok()) {
    if (LawfullyRefused(status)) ++recording_.refused_;
    object.events.pop_back();
    return absl::Status(status.code(), object.name + ": " + std::string(status.message()));
  }
  Object::Event& event = object.events.back();
  event.span.acked = acked;
  if (after) event.after = facts;
  return absl::OkStatus();
}

absl::StatusOr<std::string> Churn::DigestOf(const Object& object) const {
  ASSIGN_OR_RETURN(const auto catalog,
                   OpenCatalog(recording_.pool_path_ + "/catalog.db", Catalog::Access::kReadOnly));
  std::string image;
  if (object.snapshot) {
    ASSIGN_OR_RETURN(const auto row, catalog->FindSnapshot(object.id));
    if (row) image = "/snapshots/" + row->incarnation;
  } else {
    ASSIGN_OR_RETURN(const auto row, catalog->FindVolume(object.id));
    if (row) image = "/volumes/" + row->incarnation;
  }
  if (image.empty()) return absl::DataLossError(object.id + ": made, and not in the catalog");
  return ImageDigest(recording_.pool_path_ + image + ".img");
}

}  // namespace holdfast::powercut
