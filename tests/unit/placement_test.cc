// On which node a volume is made, and what a cluster answers when one of its nodes is away.
#include "controller/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/clock.h"
#include "base/sizes.h"
#include "controller/controller_service.h"
#include "engine/fake/fake_engine.h"
#include "tests/fakes/status_asserts.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// Nodes that can be taken away.
class FakeNodes final : public StorageNodes {
 public:
  FakeEngine& Add(const std::string& name, const std::string& pool, uint64_t bytes) {
    auto engine = std::make_shared<FakeEngine>(
        clock_, std::vector<FakePoolSpec>{{.name = pool, .size_bytes = bytes}});
    nodes_[name] = {name, engine, engine->PoolsInBrief()};
    return *engine;
  }
  void TakeAway(const std::string& name, absl::Status status) { away_[name] = status; }

  std::vector<Node> Nodes() override {
    std::vector<Node> nodes;
    for (const auto& [name, node] : nodes_) {
      if (!away_.contains(name)) nodes.push_back(node);
    }
    return nodes;
  }
  absl::StatusOr<std::vector<Node>> AllNodes() override {
    if (!away_.empty()) return away_.begin()->second;
    return Nodes();
  }
  absl::StatusOr<Node> FindNode(std::string_view name) override {
    const std::string key(name);
    if (away_.contains(key)) return away_.at(key);
    if (!nodes_.contains(key)) return absl::NotFoundError("no such node");
    return nodes_.at(key);
  }
  absl::StatusOr<Node> NodeOfPool(std::string_view uuid) override {
    for (const auto& [name, node] : nodes_) {
      if (node.pools.at(0).uuid == uuid) return FindNode(name);
    }
    return absl::UnavailableError("no node has reported it");
  }
  absl::StatusOr<CopyOrigin> Grant(const Snapshot& snapshot, const std::string& from,
                                   const std::string& to) override {
    granted.push_back(from + " to " + to + ": " + snapshot.name);
    return CopyOrigin{snapshot, from, from + ":9750", "grant"};
  }
  std::vector<std::string> granted;

 private:
  const SystemClock clock_;
  std::map<std::string, Node> nodes_;
  std::map<std::string, absl::Status> away_;
};

class Placement : public ::testing::Test {
 protected:
  Placement() {
    nodes_.Add("a", "fast", 4 * kGiB);
    nodes_.Add("b", "fast", 40 * kGiB);
    nodes_.Add("c", "slow", 400 * kGiB);
  }
  static VolumeRequest Request(const std::string& name, uint64_t bytes = kGiB) {
    VolumeRequest request;
    request.name = name;
    request.content = Content::kExt4;
    request.capacity.required_bytes = bytes;
    return request;
  }
  std::string NodeOf(const VolumeRequest& request, const NodeChoice& choice) {
    const auto placed = CreateSomewhere(nodes_, choice, request);
    return placed.ok() ? placed->node : std::string(placed.status().ToString());
  }

  FakeNodes nodes_;
};

TEST_F(Placement, WithoutAWish_MostFreeFirst_OfThoseWithThePool) {
  EXPECT_EQ(NodeOf(Request("one"), {}), "c");
  VolumeRequest request = Request("two");
  request.parameters.pool = "fast";
  EXPECT_EQ(NodeOf(request, {}), "b");
}

TEST_F(Placement, PreferredInTheirOrder_ThenThoseThatMayBe) {
  EXPECT_EQ(NodeOf(Request("one"), {false, {"a", "b", "c"}, {"a", "b"}}), "a");
  EXPECT_EQ(NodeOf(Request("large", 8 * kGiB), {false, {"a", "b", "c"}, {"a", "b"}}), "b")
      << "a has no room";
  EXPECT_EQ(NodeOf(Request("larger", 80 * kGiB), {false, {"a", "b", "c"}, {"a", "b"}}), "c");
  VolumeRequest slow = Request("slow");
  slow.parameters.pool = "slow";
  EXPECT_EQ(NodeOf(slow, {false, {"a", "c"}, {"a"}}), "c") << "a has no such pool";
}

TEST_F(Placement, RepeatedCall_IsTheSameVolume_WhateverIsFreeNow) {
  const auto first = CreateSomewhere(nodes_, {}, Request("one", 8 * kGiB));
  ASSERT_OK(first);
  EXPECT_EQ(first->node, "c");
  // c is the fullest of all now, and another one comes first.
  nodes_.Add("d", "vast", 4000 * kGiB);
  const auto again = CreateSomewhere(nodes_, {}, Request("one", 8 * kGiB));
  ASSERT_OK(again);
  EXPECT_EQ(again->node, "c");
  EXPECT_EQ(again->volume.incarnation, first->volume.incarnation);
  // Nor when the node that had no room has some.
  const NodeChoice choice{false, {"a", "b", "d"}, {"a", "b"}};
  ASSERT_OK(CreateSomewhere(nodes_, {false, {"a"}, {"a"}}, Request("in the way", 3 * kGiB)));
  const auto passed_over = CreateSomewhere(nodes_, choice, Request("two", 3 * kGiB));
  ASSERT_OK(passed_over);
  EXPECT_EQ(passed_over->node, "b");
  nodes_.Add("a", "fast", 40 * kGiB);  // made anew, with room
  EXPECT_EQ(NodeOf(Request("two", 3 * kGiB), choice), "b");
  VolumeRequest other = Request("two", 3 * kGiB);
  other.content = Content::kXfs;
  EXPECT_CODE(CreateSomewhere(nodes_, choice, other), kAlreadyExists);
}

TEST_F(Placement, NoRoomWhereItMayBe_IsResourceExhausted) {
  const auto placed = CreateSomewhere(nodes_, {false, {"a"}, {"a"}}, Request("large", 8 * kGiB));
  EXPECT_CODE(placed, kResourceExhausted);
  VolumeRequest slow = Request("slow");
  slow.parameters.pool = "slow";
  const auto elsewhere = CreateSomewhere(nodes_, {false, {"a"}, {"a"}}, slow);
  EXPECT_CODE(elsewhere, kResourceExhausted) << "the scheduler is to choose another node";
  slow.parameters.pool = "nowhere";
  const auto nowhere = CreateSomewhere(nodes_, {false, {"a"}, {"a"}}, slow);
  EXPECT_CODE(nowhere, kInvalidArgument);
  EXPECT_THAT(std::string(nowhere.status().message()), HasSubstr("nowhere"));
}

TEST_F(Placement, FirstNodeThatIsAway_IsWaitedFor_BecauseItMayHaveTheVolume) {
  nodes_.TakeAway("a", absl::UnavailableError("a is away"));
  EXPECT_CODE(CreateSomewhere(nodes_, {false, {"a", "b"}, {"a", "b"}}, Request("one")),
              kUnavailable);
  EXPECT_CODE(CreateSomewhere(nodes_, {false, {"a"}, {}}, Request("one")), kUnavailable);
  nodes_.TakeAway("a", absl::NotFoundError("a was waited for"));
  EXPECT_EQ(NodeOf(Request("one"), {false, {"a", "b"}, {"a", "b"}}), "b");
}

TEST_F(Placement, Clone_IsMadeWhereItsSourceIs) {
  const auto source = CreateSomewhere(nodes_, {false, {"a"}, {"a"}}, Request("source"));
  ASSERT_OK(source);
  VolumeRequest clone;
  clone.name = "clone";
  clone.source = {Source::Kind::kVolume, source->volume.id};
  EXPECT_EQ(NodeOf(clone, {true, {}, {"b"}}), "a") << "preferred does not bind";
  EXPECT_THAT(nodes_.granted, ElementsAre());
  nodes_.TakeAway("a", absl::UnavailableError("a is away"));
  clone.name = "other";
  EXPECT_CODE(CreateSomewhere(nodes_, {}, clone), kUnavailable);
  clone.source.id = "no-id-of-ours";
  EXPECT_CODE(CreateSomewhere(nodes_, {}, clone), kNotFound);
}

TEST_F(Placement, Clone_WhereItsSourceIsNot_IsCopiedFromACut_WhichGoesAgain) {
  const auto source = CreateSomewhere(nodes_, {false, {"a"}, {"a"}}, Request("source"));
  ASSERT_OK(source);
  VolumeRequest clone;
  clone.name = "clone";
  clone.source = {Source::Kind::kVolume, source->volume.id};
  const NodeChoice only_b{false, {"b"}, {"b"}};
  const auto placed = CreateSomewhere(nodes_, only_b, clone);
  ASSERT_OK(placed);
  EXPECT_EQ(placed->node, "b");
  EXPECT_EQ(placed->volume.source, clone.source);
  EXPECT_THAT(nodes_.granted, ElementsAre("a to b: holdfast-copy-clone"));
  const auto left = nodes_.FindNode("a")->engine->ListSnapshots({}, "", 0);
  ASSERT_OK(left);
  EXPECT_TRUE(left->empty());
  // Repeated when the source has gone, it is still the answer.
  ASSERT_OK(nodes_.FindNode("a")->engine->DeleteVolume(source->volume.id));
  const auto again = CreateSomewhere(nodes_, only_b, clone);
  ASSERT_OK(again);
  EXPECT_EQ(again->volume.incarnation, placed->volume.incarnation);
  clone.name = "another";
  EXPECT_CODE(CreateSomewhere(nodes_, only_b, clone), kNotFound);
}

TEST_F(Placement, Restore_IsCopiedWhereThereIsRoom) {
  const auto source = CreateSomewhere(nodes_, {false, {"a"}, {"a"}}, Request("source", 3 * kGiB));
  ASSERT_OK(source);
  const auto snapshot = nodes_.FindNode("a")->engine->CreateSnapshot("cut", source->volume.id);
  ASSERT_CODE(snapshot, kResourceExhausted) << "thick, and no room to write it all again";
  const auto small = CreateSomewhere(nodes_, {false, {"a"}, {"a"}}, Request("small"));
  ASSERT_CODE(small, kResourceExhausted);
  ASSERT_OK(nodes_.FindNode("a")->engine->DeleteVolume(source->volume.id));
  ASSERT_OK(CreateSomewhere(nodes_, {false, {"a"}, {"a"}}, Request("kept")));
  const auto kept = CreateSomewhere(nodes_, {false, {"a"}, {"a"}}, Request("kept"));
  const auto cut = nodes_.FindNode("a")->engine->CreateSnapshot("cut", kept->volume.id);
  ASSERT_OK(cut);
  VolumeRequest restore;
  restore.name = "restore";
  restore.source = {Source::Kind::kSnapshot, cut->id};
  restore.capacity.required_bytes = 8 * kGiB;
  EXPECT_EQ(NodeOf(restore, {false, {"a", "b", "c"}, {"a", "b"}}), "b") << "a has no room";
  EXPECT_THAT(nodes_.granted, ElementsAre("a to b: cut"));
  const auto there = nodes_.FindNode("a")->engine->FindSnapshot(cut->id);
  ASSERT_OK(there);
  EXPECT_TRUE(there->has_value()) << "the user's snapshot stays";
  restore.name = "nowhere";
  EXPECT_CODE(CreateSomewhere(nodes_, {false, {"d"}, {}}, restore), kResourceExhausted);
  nodes_.TakeAway("b", absl::UnavailableError("b is away"));
  EXPECT_CODE(CreateSomewhere(nodes_, {false, {"b", "c"}, {"b", "c"}}, restore), kUnavailable);
}

TEST_F(Placement, Lists_AreOfAllNodes_InOneOrder_InPages) {
  ControllerService service(nodes_);
  std::vector<std::string> ids;
  for (const char* node : {"a", "b", "c", "b", "a"}) {
    const auto placed = CreateSomewhere(nodes_, {false, {node}, {node}},
                                        Request(std::string("v") + std::to_string(ids.size())));
    ASSERT_OK(placed);
    ids.push_back(placed->volume.id);
  }
  std::sort(ids.begin(), ids.end());
  std::vector<std::string> listed, on;
  csi::v1::ListVolumesRequest request;
  request.set_max_entries(2);
  int pages = 0;
  do {
    csi::v1::ListVolumesResponse response;
    ASSERT_TRUE(service.ListVolumes(nullptr, &request, &response).ok());
    for (const auto& entry : response.entries()) {
      listed.push_back(entry.volume().volume_id());
      on.push_back(entry.volume().accessible_topology(0).segments().at("csi.holdfast.dev/node"));
    }
    request.set_starting_token(response.next_token());
    ++pages;
  } while (!request.starting_token().empty());
  EXPECT_EQ(listed, ids);
  EXPECT_EQ(pages, 3);
  EXPECT_THAT(on, UnorderedElementsAre("a", "a", "b", "b", "c"));
  nodes_.TakeAway("b", absl::UnavailableError("b is away"));
  csi::v1::ListVolumesResponse response;
  request.clear_starting_token();
  EXPECT_EQ(service.ListVolumes(nullptr, &request, &response).error_code(),
            grpc::StatusCode::UNAVAILABLE)
      << "what is on b is not gone";
}

TEST_F(Placement, CallsOfOneVolume_DoNotNeedTheOthers) {
  ControllerService service(nodes_);
  const auto placed = CreateSomewhere(nodes_, {false, {"a"}, {"a"}}, Request("one"));
  ASSERT_OK(placed);
  nodes_.TakeAway("b", absl::UnavailableError("b is away"));
  csi::v1::ControllerGetVolumeRequest get;
  get.set_volume_id(placed->volume.id);
  csi::v1::ControllerGetVolumeResponse got;
  EXPECT_TRUE(service.ControllerGetVolume(nullptr, &get, &got).ok());
  nodes_.TakeAway("a", absl::UnavailableError("a is away"));
  EXPECT_EQ(service.ControllerGetVolume(nullptr, &get, &got).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  csi::v1::DeleteVolumeRequest remove;
  csi::v1::DeleteVolumeResponse removed;
  remove.set_volume_id(placed->volume.id);
  EXPECT_EQ(service.DeleteVolume(nullptr, &remove, &removed).error_code(),
            grpc::StatusCode::UNAVAILABLE)
      << "never OK for a volume that is there";
}

TEST_F(Placement, Capacity_IsOfTheNodeOrOfAll) {
  ControllerService service(nodes_);
  const auto capacity = [&](const std::string& node, const std::string& pool) {
    csi::v1::GetCapacityRequest request;
    if (!node.empty()) {
      (*request.mutable_accessible_topology()->mutable_segments())["csi.holdfast.dev/node"] = node;
    }
    if (!pool.empty()) (*request.mutable_parameters())["pool"] = pool;
    csi::v1::GetCapacityResponse response;
    const grpc::Status status = service.GetCapacity(nullptr, &request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.available_capacity();
  };
  EXPECT_GT(capacity("a", ""), 0);
  EXPECT_EQ(capacity("", ""), capacity("a", "") + capacity("b", "") + capacity("c", ""));
  EXPECT_EQ(capacity("", "fast"), capacity("a", "") + capacity("b", ""));
  EXPECT_EQ(capacity("c", "fast"), 0) << "no such pool there";
  EXPECT_EQ(capacity("d", ""), 0);
}

}  // namespace
}  // namespace holdfast
