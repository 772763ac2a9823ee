#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "os/mounts.h"

namespace holdfast {
namespace {

using Option = MountFlags::Option;

MountFlags Parsed(const std::vector<std::string>& flags) {
  const absl::StatusOr<MountFlags> parsed = ParseMountFlags(flags);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.value_or(MountFlags());
}

TEST(ParseMountFlags, None_IsTheDefault) {
  EXPECT_EQ(Parsed({}), MountFlags());
  EXPECT_EQ(Parsed({"defaults", "rw", "nosuid", "nodev"}), MountFlags());
}

TEST(ParseMountFlags, FlagsOfTheMount_AreTakenApart) {
  MountFlags expected;
  expected.read_only = true;
  expected.no_exec = true;
  expected.atime = "noatime";
  expected.no_dir_atime = true;
  expected.synchronous = true;
  expected.dir_synchronous = true;
  EXPECT_EQ(Parsed({"ro", "noexec", "noatime", "nodiratime", "sync", "dirsync"}), expected);
  EXPECT_EQ(Parsed({"ro,noexec,noatime", "nodiratime,sync,dirsync"}), expected);
}

TEST(ParseMountFlags, OfContradictions_TheLastOneCounts) {
  EXPECT_EQ(Parsed({"ro", "noexec", "rw", "exec"}), MountFlags());
  EXPECT_EQ(Parsed({"noatime", "strictatime"}).atime, "strictatime");
}

TEST(ParseMountFlags, EverythingElse_IsTheFilesystems) {
  const std::vector<Option> expected = {{"discard", std::nullopt},
                                        {"commit", "5"},
                                        {"subvol", ""},
                                        {"bind", std::nullopt},
                                        {"suid", std::nullopt}};
  EXPECT_EQ(Parsed({"discard", "commit=5", "subvol=", "bind", "suid"}).filesystem_options,
            expected);
}

TEST(ParseMountFlags, AValue_MakesItNoFlagOfTheMount) {
  const MountFlags flags = Parsed({"ro=1"});
  EXPECT_FALSE(flags.read_only);
  EXPECT_EQ(flags.filesystem_options, (std::vector<Option>{{"ro", "1"}}));
}

TEST(ParseMountFlags, AQuotedComma_IsPartOfTheValue) {
  EXPECT_EQ(Parsed({R"(context="system_u:object_r:svirt_t:s0:c1,c2",ro)"}).filesystem_options,
            (std::vector<Option>{{"context", "system_u:object_r:svirt_t:s0:c1,c2"}}));
}

TEST(ParseMountFlags, WhatCannotBeParsed_IsInvalidArgument) {
  for (const std::string& flag : {std::string(), std::string("=5"), std::string(R"(context="open)"),
                                  std::string("ro\nrw"), std::string("a\0b", 3)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseMountFlags({flag}).status())) << "'" << flag << "'";
  }
}

}  // namespace
}  // namespace holdfast
