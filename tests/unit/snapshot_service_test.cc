// Who gets the bytes of a snapshot, over real connections of loopback: only the node for which a
// controller has signed it.
#include "agent/snapshot_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/fetch_snapshot.h"
#include "agent/grant.h"
#include "agent/remote_engine.h"
#include "agent/tls.h"
#include "base/clock.h"
#include "fmt/format.h"
#include "os/small_file.h"
#include "rpc/server.h"
#include "tests/fakes/status_asserts.h"
#include "tests/fakes/test_pki.h"
#include "volume/image_digest.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Holder kController{Holder::Role::kController, ""};
const Holder kFrom{Holder::Role::kNode, "from"};
const Holder kTo{Holder::Role::kNode, "to"};
const Holder kThird{Holder::Role::kNode, "third"};

class SteppingClock final : public Clock {
 public:
  int64_t UnixNanos() const override { return system_.UnixNanos() + ahead.count(); }
  std::chrono::nanoseconds ahead{0};

 private:
  SystemClock system_;
};

// Three chunks, of which a fetch may want some.
class ThreeChunks final : public SnapshotReader {
 public:
  absl::StatusOr<std::string> ReadSnapshot(std::string_view id, std::string_view incarnation,
                                           uint64_t from, TakeChunk take) override {
    asked.push_back(fmt::format("{} {} {}", id, incarnation, from));
    if (!failure.ok()) return failure;
    for (uint64_t index = from; index < 3; ++index) {
      const std::string data(kChunkBytes, static_cast<char>('a' + index));
      if (const absl::Status taken = take({index, data, Sha256(data)}); !taken.ok()) return taken;
    }
    return "digest of the whole";
  }
  std::vector<std::string> asked;
  absl::Status failure;
};

class Fetching : public ::testing::Test {
 protected:
  Fetching() {
    snapshot_.id = "snap-1";
    snapshot_.incarnation = "incarnation-1";
    ServerOptions options;
    options.address = "127.0.0.1:0";
    options.credentials = LinkTls(files_).Server();
    server_ = *Server::Start(options, {&service_}, {});
  }
  std::string GrantFor(const Holder& to, const TlsFiles& signer) {
    return Sign("from", to.node, signer);
  }
  std::string Sign(const std::string& from, const std::string& to, const TlsFiles& signer) {
    auto grant = MakeGrant(snapshot_, from, to, *ReadSmallFile(signer.private_key),
                           *ReadSmallFile(signer.certificate), clock_);
    EXPECT_OK(grant);
    return *grant;
  }
  std::string GrantFor(const Holder& to) { return GrantFor(to, pki_.FilesOf(kController)); }
  // As `caller`; what arrived is in `got_`.
  absl::StatusOr<std::string> FetchAs(const TlsFiles& caller, const std::string& grant,
                                      uint64_t from = 0) {
    CopyOrigin origin{snapshot_, "from", fmt::format("127.0.0.1:{}", server_->port()), grant};
    const auto channel = AgentChannel(origin.address, LinkTls(caller).Client(kFrom));
    got_.clear();
    return FetchOver(channel, origin, from, [this](const Chunk& chunk) -> absl::Status {
      EXPECT_EQ(Sha256(chunk.data), chunk.sha256);
      got_.push_back(chunk.index);
      return taking_;
    });
  }
  void ExpectRefused(const TlsFiles& caller, const std::string& grant, const std::string& why) {
    const auto fetched = FetchAs(caller, grant);
    EXPECT_CODE(fetched, kUnavailable);  // for whoever copies: the next call brings another grant
    EXPECT_THAT(std::string(fetched.status().message()), HasSubstr(why));
    EXPECT_TRUE(got_.empty());
    EXPECT_TRUE(reader_.asked.empty());
  }

  SteppingClock clock_;
  TestPki pki_;
  const TlsFiles files_ = pki_.FilesOf(kFrom);
  ThreeChunks reader_;
  SnapshotService service_{reader_, "from", [this] { return ReadSmallFile(files_.authority); },
                           clock_};
  std::unique_ptr<Server> server_;
  Snapshot snapshot_;
  std::vector<uint64_t> got_;
  absl::Status taking_;
};

TEST_F(Fetching, WhatWasGranted_Arrives_AllOrFromAChunkOn) {
  const auto all = FetchAs(pki_.FilesOf(kTo), GrantFor(kTo));
  ASSERT_OK(all);
  EXPECT_EQ(*all, "digest of the whole");
  EXPECT_THAT(got_, ElementsAre(0, 1, 2));
  ASSERT_OK(FetchAs(pki_.FilesOf(kTo), GrantFor(kTo), 2));
  EXPECT_THAT(got_, ElementsAre(2));
  EXPECT_THAT(reader_.asked, ElementsAre("snap-1 incarnation-1 0", "snap-1 incarnation-1 2"));
}

TEST_F(Fetching, GrantOfAnotherNode_IsNoGrant) {
  ExpectRefused(pki_.FilesOf(kThird), GrantFor(kTo), "expected one for node third");
}

TEST_F(Fetching, ControllerItself_FetchesNothing) {
  ExpectRefused(pki_.FilesOf(kController), GrantFor(kTo), "node");
}

TEST_F(Fetching, OnlyAControllerOfThatAuthoritySigns) {
  ExpectRefused(pki_.FilesOf(kTo), GrantFor(kTo, pki_.FilesOf(kTo)), "node/to");
  TestPki other;
  ExpectRefused(pki_.FilesOf(kTo), GrantFor(kTo, other.FilesOf(kController)),
                "expected one that the authority signed");
  ExpectRefused(pki_.FilesOf(kTo), GrantFor(kTo, pki_.FilesOf(kController, -std::chrono::hours(1))),
                "has not expired");
}

TEST_F(Fetching, ChangedGrant_IsRefused) {
  agent::v1::SignedGrant grant;
  ASSERT_TRUE(grant.ParseFromString(GrantFor(kTo)));
  agent::v1::Grant inner;
  ASSERT_TRUE(inner.ParseFromString(grant.grant()));
  inner.set_snapshot_id("snap-2");
  agent::v1::SignedGrant changed = grant;
  changed.set_grant(inner.SerializeAsString());
  ExpectRefused(pki_.FilesOf(kTo), changed.SerializeAsString(), "signature");
  changed = grant;
  changed.mutable_signature()->back() ^= 1;
  ExpectRefused(pki_.FilesOf(kTo), changed.SerializeAsString(), "signature");
  ExpectRefused(pki_.FilesOf(kTo), "no message", "expected a SignedGrant");
  ExpectRefused(pki_.FilesOf(kTo), "", "");
}

TEST_F(Fetching, GrantThatIsOver_OrForAnotherNodesSnapshot_IsRefused) {
  const std::string grant = GrantFor(kTo);
  clock_.ahead = std::chrono::minutes(11);
  ExpectRefused(pki_.FilesOf(kTo), grant, "not over");
  clock_.ahead = std::chrono::minutes(0);
  ExpectRefused(pki_.FilesOf(kTo), Sign("third", "to", pki_.FilesOf(kController)),
                "expected one for a snapshot of node from");
}

TEST_F(Fetching, RefusalsOfTheReader_ComeBackAsTheyAre) {
  reader_.failure = absl::NotFoundError("made anew");
  EXPECT_CODE(FetchAs(pki_.FilesOf(kTo), GrantFor(kTo)), kNotFound);
  reader_.failure = absl::DataLossError("bad blocks");
  EXPECT_CODE(FetchAs(pki_.FilesOf(kTo), GrantFor(kTo)), kDataLoss);
}

TEST_F(Fetching, WhatTheTakerSays_EndsIt) {
  taking_ = absl::ResourceExhaustedError("full");
  EXPECT_CODE(FetchAs(pki_.FilesOf(kTo), GrantFor(kTo)), kResourceExhausted);
  EXPECT_THAT(got_, ElementsAre(0));
}

TEST_F(Fetching, EndOfEitherProgram_IsUnavailable) {
  service_.Stop();
  EXPECT_CODE(FetchAs(pki_.FilesOf(kTo), GrantFor(kTo)), kUnavailable);
  EXPECT_OK(server_->Stop());
  EXPECT_CODE(FetchAs(pki_.FilesOf(kTo), GrantFor(kTo)), kUnavailable);
}

}  // namespace
}  // namespace holdfast
