#include "os/acl_text.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace holdfast {
namespace {

void Append(std::string& bytes, uint64_t value, int count) {
  for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> (8 * i));
}

std::string Header(uint32_t version = 2) {
  std::string bytes;
  Append(bytes, version, 4);
  return bytes;
}

std::string Entry(uint16_t tag, uint16_t permissions, uint32_t id = 0xffffffff) {
  std::string bytes;
  Append(bytes, tag, 2);
  Append(bytes, permissions, 2);
  Append(bytes, id, 4);
  return bytes;
}

TEST(AclText, ANamedUser_IsWrittenAsGetfaclDoes) {
  const std::string attribute = Header() + Entry(0x01, 7) + Entry(0x02, 4, 1000) + Entry(0x04, 5) +
                                Entry(0x10, 7) + Entry(0x20, 0);
  EXPECT_EQ(AclText(attribute), "user::rwx,user:1000:r--,group::r-x,mask::rwx,other::---");
}

TEST(AclText, ANamedGroup_KeepsItsNumber) {
  EXPECT_EQ(AclText(Header() + Entry(0x08, 3, 4294967294)), "group:4294967294:-wx");
}

TEST(AclText, NoEntries_IsEmpty) { EXPECT_EQ(AclText(Header()), ""); }

TEST(AclText, AnotherVersion_IsHex) { EXPECT_EQ(AclText(Header(3)), "hex:03000000"); }

TEST(AclText, ATruncatedEntry_IsHex) {
  EXPECT_EQ(AclText(Header() + Entry(0x01, 7).substr(0, 7)), "hex:0200000001000700ffffff");
}

TEST(AclText, AnUnknownTagOrPermission_IsHex) {
  EXPECT_EQ(AclText(Header() + Entry(0x40, 7)), "hex:0200000040000700ffffffff");
  EXPECT_EQ(AclText(Header() + Entry(0x01, 8)), "hex:0200000001000800ffffffff");
}

TEST(AclText, NothingAtAll_IsHex) { EXPECT_EQ(AclText(""), "hex:"); }

}  // namespace
}  // namespace holdfast
