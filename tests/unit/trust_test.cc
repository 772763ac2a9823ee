// Whom a controller in Kubernetes trusts, against an API server that answers as the real one does.
#include "kubernetes/trust.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "absl/strings/escaping.h"
#include "tests/fakes/status_asserts.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

constexpr char kSecret[] = "/api/v1/namespaces/storage/secrets/holdfast-authority";
constexpr char kConfigMap[] = "/api/v1/namespaces/storage/configmaps/holdfast-authority";
constexpr char kReviews[] = "/apis/authentication.k8s.io/v1/tokenreviews";

class FakeApi final : public KubernetesApi {
 public:
  absl::StatusOr<Json> Get(const std::string& path) override {
    if (!failure.ok()) return failure;
    if (objects.contains(path)) return objects.at(path);
    return absl::NotFoundError("not found");
  }
  absl::StatusOr<Json> Create(const std::string& path, const Json& object) override {
    if (!failure.ok()) return failure;
    if (path == kReviews) {
      reviewed = object;
      return review;
    }
    if (before_create) std::exchange(before_create, nullptr)();
    const std::string whole = path + "/" + object["metadata"]["name"].get<std::string>();
    if (objects.contains(whole)) return absl::AlreadyExistsError("already exists");
    objects[whole] = object;
    return object;
  }

  std::map<std::string, Json> objects;
  std::function<void()> before_create;  // another replica is faster
  absl::Status failure;
  Json reviewed, review;
};

class Trust : public ::testing::Test {
 protected:
  absl::StatusOr<CertificateAuthority> Shared() { return SharedAuthority(api_, "storage", clock_); }
  const SystemClock clock_;
  FakeApi api_;
};

TEST_F(Trust, FirstController_MakesTheAuthority_AndEveryLaterOneFindsIt) {
  ASSERT_OK_AND_ASSIGN(const CertificateAuthority first, Shared());
  ASSERT_OK_AND_ASSIGN(const CertificateAuthority second, Shared());
  EXPECT_EQ(second.certificate_pem(), first.certificate_pem());
  EXPECT_EQ(second.private_key_pem(), first.private_key_pem());
  EXPECT_EQ(api_.objects.at(kConfigMap)["data"]["ca.crt"], first.certificate_pem());
  EXPECT_THAT(api_.objects.at(kConfigMap).dump(), Not(HasSubstr("PRIVATE KEY")));
}

TEST_F(Trust, ReplicasThatStartAtOnce_HaveOneAuthority) {
  FakeApi other;
  ASSERT_OK(SharedAuthority(other, "storage", clock_));
  api_.before_create = [&] { api_.objects = other.objects; };
  ASSERT_OK_AND_ASSIGN(const CertificateAuthority authority, Shared());
  std::string winner;
  ASSERT_TRUE(absl::Base64Unescape(other.objects.at(kSecret)["data"]["ca.crt"].get<std::string>(),
                                   &winner));
  EXPECT_EQ(authority.certificate_pem(), winner);
}

TEST_F(Trust, ConfigMapThatWasLost_IsMadeAgain_AndOneOfAnotherAuthorityIsTold) {
  ASSERT_OK_AND_ASSIGN(const CertificateAuthority first, Shared());
  api_.objects.erase(kConfigMap);
  ASSERT_OK(Shared());
  EXPECT_EQ(api_.objects.at(kConfigMap)["data"]["ca.crt"], first.certificate_pem());
  api_.objects[kConfigMap]["data"]["ca.crt"] = "another";
  const absl::Status status = Shared().status();
  EXPECT_CODE(status, kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("delete the ConfigMap"));
}

TEST_F(Trust, SecretWithSomethingElse_IsNeverReplaced) {
  for (const Json& data : {Json(), Json{{"ca.crt", "!"}, {"ca.key", "!"}},
                           Json{{"ca.crt", "bm8="}, {"ca.key", "bm8="}}}) {
    api_.objects[kSecret] = {{"data", data}};
    const absl::Status status = Shared().status();
    EXPECT_CODE(status, kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("Secret storage/holdfast-authority"));
    EXPECT_EQ(api_.objects.at(kSecret)["data"], data);
  }
}

TEST_F(Trust, ApiServerThatIsAway_IsUnavailable_AndMakesNothing) {
  api_.failure = absl::UnavailableError("away");
  EXPECT_CODE(Shared(), kUnavailable);
  EXPECT_TRUE(api_.objects.empty());
}

// As kube-apiserver 1.30 and later answers for a token of a pod.
Json GoodReview() {
  return {{"status",
           {{"authenticated", true},
            {"audiences", {"csi.holdfast.dev"}},
            {"user",
             {{"username", "system:serviceaccount:storage:holdfast-node"},
              {"extra",
               {{"authentication.kubernetes.io/node-name", {"worker-1"}},
                {"authentication.kubernetes.io/pod-name", {"holdfast-node-x"}}}}}}}}};
}

class Tokens : public Trust {
 protected:
  absl::StatusOr<std::string> Node(const Json& review) {
    api_.review = review;
    return NodeOfToken(api_, "the-token", "storage:holdfast-node");
  }
  void ExpectRefused(const Json& review, const std::string& found) {
    const absl::Status status = Node(review).status();
    EXPECT_CODE(status, kUnauthenticated);
    EXPECT_THAT(std::string(status.message()), HasSubstr(found));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("the-token")));
  }
};

TEST_F(Tokens, NodeIsWhatTheApiServerSays) {
  EXPECT_EQ(*Node(GoodReview()), "worker-1");
  EXPECT_EQ(api_.reviewed["spec"]["token"], "the-token");
  EXPECT_EQ(api_.reviewed["spec"]["audiences"], Json::array({"csi.holdfast.dev"}));
}

TEST_F(Tokens, WhatTheApiServerDoesNotVouchFor_IsRefused) {
  ExpectRefused({{"status", {{"authenticated", false}, {"error", "the pod is gone"}}}},
                "the pod is gone");
  ExpectRefused({{"status", Json::object()}}, "does not know");
  ExpectRefused(Json::object(), "does not know");
  Json review = GoodReview();
  review["status"]["authenticated"] = "true";
  ExpectRefused(review, "does not know");
}

TEST_F(Tokens, OtherAudience_OtherAccount_NoPod_AreRefused) {
  Json review = GoodReview();
  review["status"]["audiences"] = {"https://kubernetes.default.svc"};
  ExpectRefused(review, "another");
  review["status"].erase("audiences");
  ExpectRefused(review, "another");
  for (const char* user : {"system:serviceaccount:storage:holdfast-node-2",
                           "system:serviceaccount:other:holdfast-node", "system:admin", ""}) {
    review = GoodReview();
    review["status"]["user"]["username"] = user;
    ExpectRefused(review, user);
  }
  for (const char* extra :
       {"authentication.kubernetes.io/node-name", "authentication.kubernetes.io/pod-name"}) {
    review = GoodReview();
    review["status"]["user"]["extra"].erase(extra);
    ExpectRefused(review, "names none");
    review["status"]["user"]["extra"][extra] = {"a", "b"};
    ExpectRefused(review, "names none");
  }
}

TEST_F(Tokens, ApiServerThatIsAway_IsUnavailable_NotARefusal) {
  api_.failure = absl::UnavailableError("away");
  EXPECT_CODE(NodeOfToken(api_, "t", "storage:holdfast-node"), kUnavailable);
}

}  // namespace
}  // namespace holdfast
