#include "volume/class_parameters.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

std::string RefusalOf(const std::string& key, const std::string& value) {
  const auto parsed = ParseClassParameters({{key, value}});
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << key << "=" << value;
  return std::string(parsed.status().message());
}

TEST(ClassParameters, Nothing_IsTheDefaults) {
  const auto parsed = ParseClassParameters({});
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->parameters, ClassParameters());
  EXPECT_EQ(parsed->parameters.provisioning, Provisioning::kThick);
  EXPECT_EQ(parsed->parameters.reserve_percent, 100u);
}

TEST(ClassParameters, EveryKey_IsUnderstood) {
  const auto parsed = ParseClassParameters({{"pool", "fast"},
                                            {"provisioning", "thin"},
                                            {"reserve", "100"},
                                            {"rootMode", "02750"},
                                            {"rootOwner", "1000:2000"}});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const ClassParameters expected{.pool = "fast",
                                 .provisioning = Provisioning::kThin,
                                 .reserve_percent = 100,
                                 .root_mode = 02750,
                                 .root_owner = Owner{.uid = 1000, .gid = 2000}};
  EXPECT_EQ(parsed->parameters, expected);
  EXPECT_TRUE(parsed->labels.empty());
}

TEST(ClassParameters, SidecarKeys_BecomeLabelsAsGiven) {
  const auto parsed = ParseClassParameters(
      {{"csi.storage.k8s.io/pvc/name", "data 'x'"}, {"csi.storage.k8s.io/pv/name", ""}});
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->labels.size(), 2u);
  EXPECT_EQ(parsed->labels.at("csi.storage.k8s.io/pvc/name"), "data 'x'");
  EXPECT_EQ(parsed->parameters, ClassParameters());
}

TEST(ClassParameters, UnknownKey_IsRefusedAndListsTheKnownOnes) {
  for (const char* key : {"fsType", "Pool", "", "csi.storage.k8s.io", "reserve "}) {
    const std::string sentence = RefusalOf(key, "x");
    EXPECT_NE(sentence.find(std::string("\"") + key + "\""), std::string::npos) << sentence;
    for (const char* known : {"pool", "provisioning", "reserve", "rootMode", "rootOwner"}) {
      EXPECT_NE(sentence.find(known), std::string::npos) << sentence;
    }
  }
}

TEST(ClassParameters, RootMode_TakesOctalWithAndWithoutTheZero) {
  for (const auto& [text, mode] : std::map<std::string, uint32_t>{
           {"0", 0}, {"750", 0750}, {"0750", 0750}, {"7777", 07777}, {"00007777", 07777}}) {
    const auto parsed = ParseClassParameters({{"rootMode", text}});
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_EQ(parsed->parameters.root_mode, mode);
  }
}

TEST(ClassParameters, Garbage_IsRefusedNamingKeyAndValue) {
  const std::map<std::string, std::vector<std::string>> garbage = {
      {"pool", {""}},
      {"provisioning", {"", "Thick", "thick ", "sparse"}},
      {"reserve", {"", "-1", "101", "100%", "1e2", " 100", "4294967396"}},
      {"rootMode", {"", "8", "10000", "-1", "+750", "0x1ff", "u=rwx", "0750 ", "77777777777777"}},
      {"rootOwner",
       {"", "1000", ":", "1000:", ":1000", "root:root", "1:2:3", "-1:0", "4294967295:0",
        "0:4294967295", "4294967296:0", "1 :2"}}};
  for (const auto& [key, values] : garbage) {
    for (const std::string& value : values) {
      const std::string sentence = RefusalOf(key, value);
      EXPECT_NE(sentence.find("parameter " + key), std::string::npos) << sentence;
      EXPECT_NE(sentence.find("found \"" + value + "\""), std::string::npos) << sentence;
    }
  }
}

TEST(ClassParameters, ReserveBelow100_IsParsed_AndThePoolDecides) {
  for (const uint32_t percent : {0u, 1u, 50u, 99u}) {
    const auto parsed = ParseClassParameters({{"reserve", std::to_string(percent)}});
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed->parameters.reserve_percent, percent);
  }
}

TEST(ClassParameters, TheLossOfRawBlockWrites_IsAcceptedInSoManyWordsOnly) {
  for (const char* value : {"", "yes", "true", "accept", "Acknowledged-writes-may-be-lost"}) {
    const std::string sentence = RefusalOf("rawBlockOvercommit", value);
    EXPECT_NE(sentence.find("acknowledged-writes-may-be-lost"), std::string::npos) << sentence;
  }
  const auto parsed =
      ParseClassParameters({{"rawBlockOvercommit", "acknowledged-writes-may-be-lost"}});
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed->parameters.accepts_lost_writes);
}

TEST(ClassParameters, ControlCharacters_NeverReachTheSentence) {
  const std::string sentence = RefusalOf("provisioning", "a\nb\x1b[31m");
  EXPECT_EQ(sentence.find('\n'), std::string::npos);
  EXPECT_EQ(sentence.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace holdfast
