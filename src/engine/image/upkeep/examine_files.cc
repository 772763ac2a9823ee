// The folders against the catalog.
#include <utility>

#include <fmt/format.h>

#include "base/sizes.h"
#include "base/status_macros.h"
#include "engine/image/image_engine.h"
#include "engine/image/upkeep/drain_order.h"
#include "engine/image/upkeep/examination.h"
#include "engine/image/upkeep/orphans.h"

namespace holdfast {
namespace {

// The file of a row or trash entry that misses it is told of, and put back, there.
absl::StatusOr<bool> IsToldByItsRow(const Pool& pool, const FileClaims& claims,
                                    const Orphan& orphan) {
  const auto opened =
      pool.host.OpenFile(FolderOf(pool, orphan.folder), orphan.name, Access::kReadOnly);
  if (absl::IsFailedPrecondition(opened.status())) return false;  // no regular file
  RETURN_IF_ERROR(opened.status());
  if (!*opened) return true;  // gone by now
  ASSIGN_OR_RETURN(const FileFacts facts, pool.host.Describe(**opened));
  const FileClaim* claim = claims.OfImage(facts);
  const auto incarnation = IncarnationOf(orphan.name);
  if (claim == nullptr && incarnation) claim = claims.OfIncarnation(*incarnation);
  if (claim == nullptr) return false;
  ASSIGN_OR_RETURN(const auto own,
                   pool.host.OpenFile(FolderOf(pool, claim->Folder()),
                                      ImageName(claim->incarnation), Access::kReadOnly));
  return !own;
}

}  // namespace

absl::Status Doctor::ExamineOrphans(Pool& pool) {
  ASSIGN_OR_RETURN(const auto orphans, ListOrphans(pool));
  ASSIGN_OR_RETURN(const FileClaims claims, FileClaims::Read(*pool.catalog));
  for (const Orphan& orphan : orphans) {
    ASSIGN_OR_RETURN(const bool told, IsToldByItsRow(pool, claims, orphan));
    if (told) continue;
    Finding finding = Of(pool, "orphan", orphan.Path());
    finding.expected = "only files that a row or the trash claims";
    finding.found =
        fmt::format("{}, {}", FormatBytes(orphan.size_bytes),
                    orphan.raw() ? "no intact filesystem that is known" : orphan.content);
    finding.fix = orphan.hindrance.empty()
                      ? fmt::format(
                            "'holdfastctl orphan adopt {} --name NAME{}' makes a volume of "
                            "it; or move it out of the pool",
                            ShellWord(orphan.Path()), orphan.raw() ? " --block" : "")
                      : "move it out of the pool: " + orphan.hindrance;
    Report(std::move(finding));
  }
  return absl::OkStatus();
}

// A row that is being made has its file in work/, and so has one that is not shown yet: told as
// half-done when nobody makes it. True: a second file beside the one in its place.
absl::StatusOr<bool> Doctor::IsStrayCopy(Pool& pool, const FileClaim& claim) {
  if (claim.state == ObjectState::kCreating) return false;
  ASSIGN_OR_RETURN(const auto own, host_.OpenFile(FolderOf(pool, claim.Folder()),
                                                  ImageName(claim.incarnation), Access::kReadOnly));
  return own.has_value();
}

absl::Status Doctor::ExamineWork(Pool& pool) {
  ASSIGN_OR_RETURN(const auto names, host_.ListFolder(pool.work));
  ASSIGN_OR_RETURN(const FileClaims claims, FileClaims::Read(*pool.catalog));
  for (const std::string& name : names) {
    const auto incarnation = IncarnationOf(name);
    if (const FileClaim* claim = incarnation ? claims.OfIncarnation(*incarnation) : nullptr) {
      ASSIGN_OR_RETURN(const bool stray, IsStrayCopy(pool, *claim));
      if (!stray) continue;
      Finding finding = Of(pool, "work-leftover", "work/" + name);
      finding.expected = fmt::format("the image of {} in {}/ alone", claim->id, claim->Folder());
      finding.found = "a second file with its name";
      finding.fix = "find out who put it there, then remove it by hand";
      Report(std::move(finding));
      continue;
    }
    const auto file = host_.OpenFile(pool.work, name, Access::kReadOnly);
    if (absl::IsFailedPrecondition(file.status())) {
      Finding finding = Of(pool, "work-leftover", "work/" + name);
      finding.expected = "regular files only";
      finding.found = "something else";
      finding.fix = "remove it by hand";
      Report(std::move(finding));
      continue;
    }
    RETURN_IF_ERROR(file.status());
    if (!*file) continue;
    ASSIGN_OR_RETURN(const auto writer, host_.OtherWriter(**file));
    if (writer) continue;  // in use: by a loop device that is told of, or by who is making it
    ASSIGN_OR_RETURN(const FileFacts facts, host_.Describe(**file));
    Finding finding = Of(pool, "work-leftover", "work/" + name);
    finding.expected = "nothing that nobody is making";
    finding.found =
        fmt::format("{} that no row claims and nobody has open", FormatBytes(facts.size_bytes));
    finding.fix = "remove it; what lies in work/ was promised to nobody";
    Report(std::move(finding),
           [&pool, name] { return pool.host.Remove(pool.work, name).status(); });
  }
  return absl::OkStatus();
}

}  // namespace holdfast
