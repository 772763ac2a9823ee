// What every StorageEngine must do. The cases run on FakeEngine, on ImageEngine over FakeHost with
// its catalog in memory, and, as root, on ImageEngine over LinuxHost with real pools; each of them
// in this process and through an agent.
#pragma once

#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/sizes.h"
#include "engine/storage_engine.h"
#include "tests/contract/machine.h"
#include "tests/fakes/status_asserts.h"

namespace holdfast {

// An engine with one pool, named "pool", of about 4 GiB. Nothing is left of it when it goes.
class EngineUnderTest {
 public:
  virtual ~EngineUnderTest() = default;
  virtual StorageEngine& engine() = 0;
  // Null for an engine without files; else files of the pool are in `pool_path`.
  virtual Host* host() { return nullptr; }
  virtual std::string pool_path() { return ""; }
  // Files of work/, loops and mounts that are there and should not be.
  virtual std::vector<std::string> Leftovers() { return {}; }
};

struct EngineKind {
  std::string name;
  enum class Engine { kFake, kImage } engine = Engine::kFake;
  MachineKind machine;  // of kFake: only its pool_filesystem counts
  bool remote = false;  // through an agent and its client, over mutual TLS
  bool overcommit = false;
  std::unique_ptr<EngineUnderTest> Make(const Clock& clock) const;
};

inline void PrintTo(const EngineKind& kind, std::ostream* stream) { *stream << kind.name; }

class EngineContractBase : public ::testing::Test {
 protected:
  void Start(const EngineKind& kind);
  void TearDown() override;

  EngineUnderTest& under_test() { return *under_test_; }
  StorageEngine& engine() { return under_test_->engine(); }
  PoolStatus pool() { return engine().Pools().at(0); }

  static VolumeRequest Request(const std::string& name, Content content = Content::kExt4,
                               uint64_t required_bytes = 0);
  static VolumeRequest CloneRequest(const std::string& name, Source::Kind kind,
                                    const std::string& source_id);
  // What a volume must be, whoever made it.
  static void CheckReady(const Volume& volume);
  void CheckInvariant();
  // Free bytes of the pool once all that was deleted is back.
  uint64_t SettledFreeBytes();

 private:
  SystemClock clock_;
  std::unique_ptr<EngineUnderTest> under_test_;
  size_t descriptors_ = 0;
};

class EngineContract : public EngineContractBase, public ::testing::WithParamInterface<EngineKind> {
 protected:
  void SetUp() override {
    if (const std::string why = GetParam().machine.WhyNot(); !why.empty()) GTEST_SKIP() << why;
    Start(GetParam());
  }
};

// The same with a pool whose owner chose overcommit.
class OvercommitContract : public EngineContractBase,
                           public ::testing::WithParamInterface<EngineKind> {
 protected:
  void SetUp() override {
    EngineKind kind = GetParam();
    kind.overcommit = true;
    if (const std::string why = kind.machine.WhyNot(); !why.empty()) GTEST_SKIP() << why;
    Start(kind);
  }
};

// The same for each content of a volume.
class ContentContract : public EngineContractBase,
                        public ::testing::WithParamInterface<std::tuple<EngineKind, Content>> {
 protected:
  void SetUp() override {
    const EngineKind& kind = std::get<0>(GetParam());
    if (const std::string why = kind.machine.WhyNot(); !why.empty()) GTEST_SKIP() << why;
    Start(kind);
  }
  Content content() const { return std::get<1>(GetParam()); }
};

// The same for each content that is a filesystem.
class FilesystemContentContract : public ContentContract {};

// The same for the engine that keeps volumes in files.
class ImageContentContract : public ContentContract {};

}  // namespace holdfast
