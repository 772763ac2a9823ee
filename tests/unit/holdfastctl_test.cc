// holdfastctl on catalogs in a temporary folder; pools themselves are for the sanity suite.
#include "ctl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "base/uuid.h"
#include "integrity/verdict.h"
#include "nlohmann/json.hpp"

namespace holdfast::ctl {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kPoolUuid[] = "0f8fad5b-d9cb-469f-a165-70867728950e";

class Holdfastctl : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "holdfastctl-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    pool_ = pattern;
    catalog_ = CreateCatalog(pool_ + "/catalog.db",
                             {.uuid = kPoolUuid, .name = "fast", .created_unix_nanos = 1})
                   .value();
  }
  void TearDown() override {
    catalog_.reset();
    std::filesystem::remove_all(pool_);
  }

  // Runs it on the pool, the catalog open as a server would have it.
  int Run(std::vector<std::string> arguments) {
    out_.str("");
    err_.str("");
    Surroundings surroundings{[]() -> absl::StatusOr<Host*> { return absl::InternalError("none"); },
                              environment_, out_, err_};
    return ctl::Run(arguments, surroundings);
  }

  std::ptrdiff_t ErrorLines() const {
    const std::string text = err_.str();
    return std::count(text.begin(), text.end(), '\n');
  }

  Volume MakeVolume(const std::string& name) {
    Volume volume;
    volume.id = MakeId(ObjectKind::kVolume, kPoolUuid, name);
    volume.name = name;
    volume.incarnation = NewUuid();
    volume.state = ObjectState::kReady;
    volume.capacity_bytes = volume.filesystem_bytes = uint64_t{1} << 30;
    volume.filesystem_uuid = "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d";
    volume.stage.last_end = LastEnd::kClean;
    RootAttributes& root = volume.stage.root.emplace();
    root.inode = 2;
    root.mode = 0700;
    root.owner = root.group = 26;
    return volume;
  }
  Volume Refused(const std::string& name) {
    Volume volume = MakeVolume(name);
    RootAttributes found = *volume.stage.root;
    found.mode = 0755;
    volume.stage.verdict = Verdict{JudgeRoot(volume, found).sentence, found};
    return volume;
  }

  std::string pool_;
  std::unique_ptr<Catalog> catalog_;
  std::map<std::string, std::string> environment_;
  std::ostringstream out_, err_;
};

TEST_F(Holdfastctl, Misuse_IsOneLineAndExit2) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"volume"},
                                             {"volume", "destroy"},
                                             {"volume", "list", "--pools", pool_},
                                             {"volume", "inspect", "--pool", pool_},
                                             {"pool", "init"},
                                             {"volume", "list"}}) {
    EXPECT_EQ(Run(arguments), kExitMisused);
    EXPECT_THAT(out_.str(), IsEmpty());
    EXPECT_EQ(ErrorLines(), 1) << err_.str();
    EXPECT_THAT(err_.str(), testing::StartsWith("holdfastctl: "));
  }
}

TEST_F(Holdfastctl, UnknownCommand_IsNamed) {
  EXPECT_EQ(Run({"volume", "lst", "--pool", pool_}), kExitMisused);
  EXPECT_THAT(err_.str(), HasSubstr("'lst'"));
}

TEST_F(Holdfastctl, PoolFlag_TakesOneFolderAndMayComeAnywhere) {
  const Volume volume = MakeVolume("pvc-1");
  ASSERT_TRUE(catalog_->InsertVolume(volume).ok());
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--pool", pool_, "volume", "inspect", volume.id},
                                             {"volume", "--pool", pool_, "inspect", volume.id},
                                             {"volume", "inspect", "--pool", pool_, volume.id},
                                             {"volume", "inspect", volume.id, "--pool=" + pool_}}) {
    EXPECT_EQ(Run(arguments), kExitDone) << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr(volume.id));
  }
}

TEST_F(Holdfastctl, UnknownVariable_IsOneLineAndExit2) {
  environment_ = {{"HOLDFAST_POOL", pool_}, {"HOLDFAST_POOLS", "/x"}};
  EXPECT_EQ(Run({"volume", "list"}), kExitMisused);
  EXPECT_THAT(err_.str(), HasSubstr("HOLDFAST_POOLS"));
}

TEST_F(Holdfastctl, VariablesOfTheServer_AreAllLawful) {
  // The server makes a variable of each of its options.
  std::ifstream source(HOLDFAST_SOURCE_DIR "/src/config.cc");
  const std::string text{std::istreambuf_iterator<char>(source), {}};
  const std::regex option("add\\(\"--([a-z-]+)\"");
  for (std::sregex_iterator it(text.begin(), text.end(), option), end; it != end; ++it) {
    std::string variable = "HOLDFAST_" + (*it)[1].str();
    for (char& c : variable) c = c == '-' ? '_' : static_cast<char>(std::toupper(c));
    environment_[variable] = "x";
  }
  ASSERT_GT(environment_.size(), 5u);
  environment_["HOLDFAST_POOL"] = pool_;
  EXPECT_EQ(Run({"volume", "list"}), kExitDone) << err_.str();
}

TEST_F(Holdfastctl, Help_IsExit0OnStandardOutput) {
  EXPECT_EQ(Run({"--help"}), kExitDone);
  EXPECT_THAT(out_.str(), HasSubstr("volume"));
  EXPECT_EQ(Run({"volume", "acknowledge", "--help"}), kExitDone);
  EXPECT_EQ(Run({"--version"}), kExitDone);
  EXPECT_THAT(err_.str(), IsEmpty());
}

TEST_F(Holdfastctl, VolumeList_ShowsEveryStateWherePoolsComeFromFlagOrVariable) {
  Volume volume = MakeVolume("pvc-1");
  volume.labels = {{"csi.storage.k8s.io/pvc/namespace", "shop"},
                   {"csi.storage.k8s.io/pvc/name", "data"}};
  ASSERT_TRUE(catalog_->InsertVolume(volume).ok());
  volume = Refused("pvc-2");
  volume.state = ObjectState::kDeleting;
  ASSERT_TRUE(catalog_->InsertVolume(volume).ok());
  ASSERT_EQ(Run({"--pool", pool_, "volume", "list"}), kExitDone) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("pvc-1"));
  EXPECT_THAT(out_.str(), HasSubstr("shop/data"));
  EXPECT_THAT(out_.str(), HasSubstr("deleting"));
  EXPECT_THAT(out_.str(), HasSubstr("refused"));
  const std::string by_flag = out_.str();
  environment_["HOLDFAST_POOL"] = pool_;
  ASSERT_EQ(Run({"volume", "list"}), kExitDone);
  EXPECT_EQ(out_.str(), by_flag);
  ASSERT_EQ(Run({"volume", "list", "--json"}), kExitDone);
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["volumes"].size(), 2u);
}

TEST_F(Holdfastctl, VolumeInspect_ShowsTheRecordWithItsModeInOctal) {
  Volume volume = Refused("pvc-1");
  volume.labels = {{"csi.storage.k8s.io/pvc/namespace", "shop"},
                   {"csi.storage.k8s.io/pvc/name", "data"}};
  ASSERT_TRUE(catalog_->InsertVolume(volume).ok());
  ASSERT_TRUE(catalog_->InsertVolume(MakeVolume("pvc-2")).ok());
  EXPECT_EQ(Run({"volume", "inspect", "-", "--pool", pool_}), kExitRefused);
  for (const std::string& key : {volume.id, volume.name, std::string("shop/data")}) {
    ASSERT_EQ(Run({"volume", "inspect", key, "--pool", pool_}), kExitDone) << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr("0700"));
    EXPECT_THAT(out_.str(), HasSubstr(volume.stage.verdict->sentence));
    EXPECT_THAT(out_.str(), HasSubstr("1073741824 (1 GiB)"));
  }
  ASSERT_EQ(Run({"volume", "inspect", volume.id, "--pool", pool_, "--json"}), kExitDone);
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["stage"]["root"]["mode"], "0700");
  EXPECT_EQ(json["stage"]["verdict"]["found"]["mode"], "0755");
  EXPECT_EQ(json["filesystem_uuid"], volume.filesystem_uuid);
}

TEST_F(Holdfastctl, ChangesWithoutAServer_AreRefusedInOneSentenceAndChangeNothing) {
  const Volume volume = Refused("pvc-1");
  ASSERT_TRUE(catalog_->InsertVolume(volume).ok());
  const Volume deleted = MakeVolume("pvc-2");
  ASSERT_TRUE(catalog_->InsertVolume(deleted).ok());
  ASSERT_TRUE(catalog_->MoveToTrash({.incarnation = deleted.incarnation, .id = deleted.id}).ok());
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"volume", "acknowledge", volume.id},
                                             {"trash", "restore", deleted.id},
                                             {"trash", "purge", "--all"},
                                             {"pool", "grow", pool_},
                                             {"doctor", "--fix"}}) {
    std::vector<std::string> line = {"--pool", pool_, "--admin-socket", pool_ + "/none.sock"};
    line.insert(line.end(), arguments.begin(), arguments.end());
    EXPECT_EQ(Run(line), kExitRefused);
    EXPECT_EQ(ErrorLines(), 1) << err_.str();
    EXPECT_THAT(err_.str(), HasSubstr("expected a running server, found none"));
    EXPECT_THAT(err_.str(), HasSubstr(pool_ + "/none.sock"));
  }
  EXPECT_TRUE(catalog_->FindVolume(volume.id)->value().stage.verdict.has_value());
  EXPECT_EQ(catalog_->ListTrash()->size(), 1U);
}

TEST_F(Holdfastctl, AdminSocket_ComesFromFlagVariableOrTheRunFolder) {
  ASSERT_TRUE(catalog_->InsertVolume(Refused("pvc-1")).ok());
  const std::vector<std::string> line = {"volume", "acknowledge", "pvc-1", "--pool", pool_};
  environment_ = {{"HOLDFAST_RUN_FOLDER", pool_ + "/run"}};
  EXPECT_EQ(Run(line), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr(pool_ + "/run/admin.sock"));
  environment_["HOLDFAST_ADMIN_SOCKET"] = pool_ + "/own.sock";
  EXPECT_EQ(Run(line), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr(pool_ + "/own.sock"));
}

TEST_F(Holdfastctl, TrashList_ShowsWhatWasDeleted_AndAmbiguousNamesAreRefused) {
  for (int i = 0; i < 2; ++i) {
    const Volume volume = MakeVolume("pvc-1");
    ASSERT_TRUE(catalog_->InsertVolume(volume).ok());
    ASSERT_TRUE(catalog_
                    ->MoveToTrash({.incarnation = volume.incarnation,
                                   .id = volume.id,
                                   .name = "pvc-1",
                                   .size_bytes = volume.capacity_bytes})
                    .ok());
  }
  ASSERT_EQ(Run({"trash", "list", "--pool", pool_}), kExitDone) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("volume"));
  EXPECT_THAT(out_.str(), HasSubstr("1 GiB"));
  ASSERT_EQ(Run({"trash", "list", "--json", "--pool", pool_}), kExitDone);
  EXPECT_EQ(nlohmann::json::parse(out_.str())["trash"].size(), 2U);
  EXPECT_EQ(Run({"trash", "restore", "pvc-1", "--pool", pool_}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("name it by its incarnation"));
  EXPECT_EQ(Run({"trash", "purge", "--pool", pool_}), kExitRefused);
  EXPECT_EQ(Run({"trash", "purge", "pvc-1", "--all", "--pool", pool_}), kExitRefused);
}

TEST_F(Holdfastctl, SnapshotList_ShowsConsistencyAndSource) {
  Snapshot snapshot;
  snapshot.id = MakeId(ObjectKind::kSnapshot, kPoolUuid, "snap-1");
  snapshot.name = "snap-1";
  snapshot.incarnation = "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed";
  snapshot.volume_id = MakeId(ObjectKind::kVolume, kPoolUuid, "pvc-1");
  snapshot.state = ObjectState::kReady;
  snapshot.consistency = Consistency::kFrozen;
  snapshot.created_unix_nanos = 1'795'425'011'000'000'000;
  ASSERT_TRUE(catalog_->InsertSnapshot(snapshot).ok());
  ASSERT_EQ(Run({"snapshot", "list", "--pool", pool_}), kExitDone) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("frozen"));
  EXPECT_THAT(out_.str(), HasSubstr("2026-11-23T09:10:11Z"));
  ASSERT_EQ(Run({"snapshot", "list", "--pool", pool_, "--json"}), kExitDone);
  EXPECT_EQ(nlohmann::json::parse(out_.str())["snapshots"][0]["volume_id"], snapshot.volume_id);
}

TEST_F(Holdfastctl, UnknownVolumeOrPool_IsOneLineAndExit1) {
  EXPECT_EQ(Run({"volume", "inspect", "a\nb", "--pool", pool_}), kExitRefused);
  EXPECT_EQ(ErrorLines(), 1) << err_.str();
  EXPECT_EQ(Run({"volume", "list", "--pool", pool_ + "/none"}), kExitRefused);
  EXPECT_THAT(err_.str(), HasSubstr("holdfastctl pool init"));
}

TEST_F(Holdfastctl, APoolThatIsMissing_HidesNothingOfTheOthers) {
  const Volume volume = MakeVolume("pvc-1");
  ASSERT_TRUE(catalog_->InsertVolume(volume).ok());
  environment_ = {{"HOLDFAST_POOL", "/nowhere:" + pool_}};
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"volume", "list"}, {"--json", "volume", "list"}}) {
    EXPECT_EQ(Run(arguments), kExitRefused);
    EXPECT_THAT(out_.str(), HasSubstr(volume.id));
    EXPECT_THAT(err_.str(), HasSubstr("pool /nowhere: expected a pool's catalog, found none"));
    EXPECT_EQ(ErrorLines(), 1) << err_.str();
  }
  for (const std::string kind : {"snapshot", "trash"}) {
    EXPECT_EQ(Run({kind, "list"}), kExitRefused);
    EXPECT_THAT(out_.str(), HasSubstr("NAME"));
  }
  EXPECT_EQ(Run({"volume", "inspect", volume.id}), kExitDone) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr(volume.id));
  EXPECT_EQ(Run({"volume", "inspect", volume.name}), kExitRefused)
      << "the missing pool may have one of that name too";
}

TEST_F(Holdfastctl, NamesOfAnybody_AreShownWithoutControlCharacters) {
  Volume volume = MakeVolume("evil\x1b[2J");
  ASSERT_TRUE(catalog_->InsertVolume(volume).ok());
  ASSERT_EQ(Run({"volume", "list", "--pool", pool_}), kExitDone);
  EXPECT_THAT(out_.str(), testing::Not(HasSubstr("\x1b")));
}

}  // namespace
}  // namespace holdfast::ctl
