#include "volume/root_attributes.h"

#include <fmt/format.h>

namespace holdfast {
namespace {

void AddField(RootDifference& difference, std::string_view field, const std::string& expected,
              const std::string& found) {
  if (expected == found) return;
  const std::string_view separator = difference.expected.empty() ? "" : ", ";
  difference.expected += fmt::format("{}{} {}", separator, field, expected);
  difference.found += fmt::format("{}{} {}", separator, field, found);
}

std::string TimeText(const Timestamp& time) {
  return fmt::format("{}.{:09d}", time.seconds, time.nanoseconds);
}

std::string AclText(const std::string& acl) { return acl.empty() ? "none" : acl; }

}  // namespace

bool SameDirectory(const RootAttributes& a, const RootAttributes& b) {
  return a.inode == b.inode && a.generation == b.generation && a.birth_time == b.birth_time;
}

bool MayBeLawful(const RootAttributes& recorded, const RootAttributes& found) {
  // Clocks step, so times are compared for being equal only, never for being later.
  return SameDirectory(recorded, found) && !(recorded.change_time == found.change_time);
}

RootDifference DescribeDifference(const RootAttributes& expected, const RootAttributes& found) {
  RootDifference difference;
  const auto number = [](uint64_t value) { return std::to_string(value); };
  AddField(difference, "inode", number(expected.inode), number(found.inode));
  AddField(difference, "generation", number(expected.generation), number(found.generation));
  AddField(difference, "birth time", TimeText(expected.birth_time), TimeText(found.birth_time));
  AddField(difference, "mode", fmt::format("{:04o}", expected.mode),
           fmt::format("{:04o}", found.mode));
  AddField(difference, "owner", fmt::format("{}:{}", expected.owner, expected.group),
           fmt::format("{}:{}", found.owner, found.group));
  AddField(difference, "ACL", AclText(expected.access_acl), AclText(found.access_acl));
  AddField(difference, "default ACL", AclText(expected.default_acl), AclText(found.default_acl));
  return difference;
}

}  // namespace holdfast
