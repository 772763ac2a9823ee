// What the images hold after a cut: byte for byte where nobody wrote, cell for cell where somebody
// did.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tests/powercut/cut_check.h"

namespace holdfast::powercut {
namespace {}  // namespace

void CutCheck::CompareDigest(const std::string& id, Found& found) {
  if (found.candidates.empty() || found.image.empty()) return;  // said before
  const auto digest = ImageDigest(found.image);
  for (const Facts* facts : found.candidates) {
    if (facts->digest.empty() || (digest.ok() && facts->digest == *digest)) found.facts = facts;
  }
  if (found.facts != nullptr) return;
  Violation(fmt::format("{} ({}): its bytes are not those that were acknowledged: {}", id,
                        found.name, digest.ok() ? *digest : Text(digest.status())));
}

void CutCheck::ShowWriters() {
  size_t writer = 0;
  for (const auto& object : recording_.ledger().objects()) {
    if (!object->name.starts_with("writer-")) continue;
    ShowAndCompare(object->name, object->id, kWriterContents[writer],
                   Origin{writer, {.begun = cut_, .acked = cut_}});
    ++writer;
  }
}

// One of the volumes that nobody ever showed: a clone or an empty one.
void CutCheck::ShowAnother() {
  std::vector<std::string> others;
  for (const auto& [id, found] : found_) {
    if (found.name.starts_with("volume-")) others.push_back(id);
  }
  if (others.empty()) return;
  const std::string& id = others[random_() % others.size()];
  const Found& found = found_.at(id);
  ShowAndCompare(found.name, id, found.facts->content, found.facts->origin);
}

// A new volume works: from a snapshot of a writer's where there is one, and as it must be then.
void CutCheck::CreateAnother() {
  std::vector<std::string> snapshots;
  for (const auto& [id, found] : found_) {
    if (found.name.starts_with("snapshot-") && found.facts->origin) snapshots.push_back(id);
  }
  Asked asked{
      .name = "after-the-cut", .content = Content::kExt4, .bytes = SmallestBytes(Content::kExt4)};
  std::optional<Origin> origin;
  if (!snapshots.empty()) {
    const std::string& id = snapshots[random_() % snapshots.size()];
    const Facts& facts = *found_.at(id).facts;
    asked = {.name = asked.name, .content = facts.content, .snapshot_id = id};
    origin = facts.origin;
  }
  const auto made = calls_->Create(asked);
  if (!made.ok()) return Violation("a create after the cut: " + Text(made.status()));
  ShowAndCompare(asked.name, made->id, asked.content, origin);
  const absl::Status deleted = calls_->Delete(made->id);
  if (!deleted.ok()) Violation("a delete after the cut: " + Text(deleted));
}

void CutCheck::ShowAndCompare(const std::string& name, const std::string& id, Content content,
                              const std::optional<Origin>& origin) {
  const auto target = calls_->Show(id, content);
  if (!target.ok()) return Violation(name + ": it cannot be shown: " + Text(target.status()));
  if (origin) {
    CompareCells(name, Cells(origin->writer, *target, content == Content::kBlock), *origin);
  }
  const absl::Status away = calls_->PutAway(id);
  if (!away.ok()) Violation(name + ": it cannot be put away: " + Text(away));
}

void CutCheck::CompareCells(const std::string& name, const Cells& cells, const Origin& origin) {
  size_t wrong = 0;
  for (const auto& [cell, history] : recording_.ledger().CellsOf(origin.writer)) {
    const PossibleVersions possible = VersionsIn(history, origin.span);
    const auto version = cells.Find(cell);
    ++cells_;
    // A file that was being written has no bytes that anybody was promised.
    const bool unpromised = possible.changing && cell.starts_with("file/");
    const bool right = version.ok() ? possible.versions.contains(*version) : unpromised;
    if (right || ++wrong > 3) continue;
    Violation(fmt::format("{}: {}: expected version {}, found {}", name, cell,
                          fmt::join(possible.versions, " or "),
                          version.ok() ? std::to_string(*version) : Text(version.status())));
  }
  if (wrong > 3) Violation(fmt::format("{}: {} cells in all are not as promised", name, wrong));
}

}  // namespace holdfast::powercut
