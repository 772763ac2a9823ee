#include "volume/access_mode.h"

#include <gtest/gtest.h>

#include <array>

namespace holdfast {
namespace {

struct Expected {
  AccessMode mode;
  const char* name;
  bool read_only;
  bool several_targets;
};

// CSI specification, "NodePublishVolume", second table; the names are the proto's.
constexpr std::array<Expected, 5> kTable = {{
    {AccessMode::kSingleNodeWriter, "SINGLE_NODE_WRITER", false, false},
    {AccessMode::kSingleNodeReaderOnly, "SINGLE_NODE_READER_ONLY", true, false},
    {AccessMode::kMultiNodeReaderOnly, "MULTI_NODE_READER_ONLY", true, true},
    {AccessMode::kSingleNodeSingleWriter, "SINGLE_NODE_SINGLE_WRITER", false, false},
    {AccessMode::kSingleNodeMultiWriter, "SINGLE_NODE_MULTI_WRITER", false, true},
}};

TEST(AccessMode, EachMode_HasItsNameAndRules) {
  for (const Expected& expected : kTable) {
    EXPECT_STREQ(AccessModeName(expected.mode), expected.name);
    EXPECT_EQ(ParseAccessMode(expected.name), expected.mode);
    EXPECT_EQ(IsReadOnly(expected.mode), expected.read_only) << expected.name;
    EXPECT_EQ(AllowsSeveralTargets(expected.mode), expected.several_targets) << expected.name;
  }
}

TEST(AccessMode, Parse_RefusesModesThatNeedSeveralMachines) {
  for (const char* name : {"MULTI_NODE_SINGLE_WRITER", "MULTI_NODE_MULTI_WRITER", "UNKNOWN", "",
                           "single_node_writer", "SINGLE_NODE_WRITER "}) {
    EXPECT_EQ(ParseAccessMode(name), std::nullopt) << name;
  }
}

}  // namespace
}  // namespace holdfast
