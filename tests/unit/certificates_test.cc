// Certificates of the link: whose they are, and what is not signed.
#include "pki/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "tests/fakes/status_asserts.h"

namespace holdfast {
namespace {

using std::chrono::hours;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const Holder kController{Holder::Role::kController, ""};
const Holder kNodeA{Holder::Role::kNode, "worker-a.example.org"};

std::string NewRequest() { return *NewSigningRequest(*NewPrivateKey()); }

class Certificates : public ::testing::Test {
 protected:
  const SystemClock clock_;
  const CertificateAuthority authority_ = *CertificateAuthority::Create(clock_);
};

TEST_F(Certificates, SignedCertificate_NamesItsHolder_ForItsTime) {
  for (const Holder& holder : {kController, kNodeA}) {
    ASSERT_OK_AND_ASSIGN(const std::string certificate,
                         authority_.Sign(NewRequest(), holder, hours(24), clock_));
    EXPECT_THAT(certificate, StartsWith("-----BEGIN CERTIFICATE-----"));
    ASSERT_OK_AND_ASSIGN(const CertificateFacts facts, ReadCertificate(certificate));
    EXPECT_EQ(facts.holder, holder);
    const int64_t now = clock_.UnixNanos() / 1'000'000'000;
    EXPECT_NEAR(static_cast<double>(facts.not_before_unix_seconds), static_cast<double>(now - 300),
                5);
    EXPECT_NEAR(static_cast<double>(facts.not_after_unix_seconds),
                static_cast<double>(now + 24 * 3600), 5);
  }
}

TEST_F(Certificates, Authority_LoadedAgain_SignsTheSame) {
  ASSERT_OK_AND_ASSIGN(
      const CertificateAuthority again,
      CertificateAuthority::Load(authority_.private_key_pem(), authority_.certificate_pem()));
  ASSERT_OK_AND_ASSIGN(const std::string key, NewPrivateKey());
  ASSERT_OK_AND_ASSIGN(const std::string request, NewSigningRequest(key));
  ASSERT_OK_AND_ASSIGN(const std::string certificate,
                       again.Sign(request, kNodeA, hours(1), clock_));
  EXPECT_OK(CheckPair(key, certificate, authority_.certificate_pem()));
}

TEST_F(Certificates, Authority_OfAnotherKeyOrOfALeaf_IsRefused) {
  ASSERT_OK_AND_ASSIGN(const CertificateAuthority other, CertificateAuthority::Create(clock_));
  EXPECT_CODE(CertificateAuthority::Load(other.private_key_pem(), authority_.certificate_pem()),
              kInvalidArgument);
  EXPECT_CODE(CertificateAuthority::Load("not PEM", authority_.certificate_pem()),
              kInvalidArgument);
  ASSERT_OK_AND_ASSIGN(const std::string key, NewPrivateKey());
  ASSERT_OK_AND_ASSIGN(const std::string request, NewSigningRequest(key));
  ASSERT_OK_AND_ASSIGN(const std::string leaf,
                       authority_.Sign(request, kController, hours(1), clock_));
  EXPECT_CODE(CertificateAuthority::Load(key, leaf), kInvalidArgument);
}

TEST_F(Certificates, CheckPair_SaysWhichDoesNotBelong) {
  ASSERT_OK_AND_ASSIGN(const std::string key, NewPrivateKey());
  ASSERT_OK_AND_ASSIGN(const std::string request, NewSigningRequest(key));
  ASSERT_OK_AND_ASSIGN(const std::string certificate,
                       authority_.Sign(request, kNodeA, -hours(1), clock_));
  EXPECT_OK(CheckPair(key, certificate, authority_.certificate_pem()))
      << "one that has expired still belongs";
  const absl::Status other_key =
      CheckPair(*NewPrivateKey(), certificate, authority_.certificate_pem());
  EXPECT_CODE(other_key, kInvalidArgument);
  EXPECT_THAT(std::string(other_key.message()), HasSubstr("private key"));
  ASSERT_OK_AND_ASSIGN(const CertificateAuthority other, CertificateAuthority::Create(clock_));
  const absl::Status other_authority = CheckPair(key, certificate, other.certificate_pem());
  EXPECT_CODE(other_authority, kInvalidArgument);
  EXPECT_THAT(std::string(other_authority.message()), HasSubstr("the authority signed"));
}

TEST_F(Certificates, Request_ThatIsNoneOrOfAnotherKey_IsRefused) {
  EXPECT_CODE(authority_.Sign("", kNodeA, hours(1), clock_), kInvalidArgument);
  EXPECT_CODE(authority_.Sign(authority_.certificate_pem(), kNodeA, hours(1), clock_),
              kInvalidArgument);
  // One character of its signature changed.
  std::string request = NewRequest();
  const size_t at = request.find("-----END") - 12;
  request[at] = request[at] == 'A' ? 'B' : 'A';
  EXPECT_CODE(authority_.Sign(request, kNodeA, hours(1), clock_), kInvalidArgument);
}

TEST_F(Certificates, NodeNamesThatCouldMeanSomethingElse_AreNotSigned) {
  for (const std::string& name :
       {std::string(), std::string("a/b"), std::string("a b"), std::string("a\nb"),
        std::string("a\0b", 3), std::string("\xc3\xa4"), std::string(254, 'a')}) {
    EXPECT_FALSE(authority_.Sign(NewRequest(), {Holder::Role::kNode, name}, hours(1), clock_).ok())
        << name;
  }
}

TEST(Holders, UrisOfThisGrammarOnly) {
  EXPECT_EQ(*ParseHolder({HolderUri(kController)}), kController);
  EXPECT_EQ(*ParseHolder({HolderUri(kNodeA)}), kNodeA);
  const std::vector<std::vector<std::string>> strangers = {
      {},
      {""},
      {"spiffe://csi.holdfast.dev/"},
      {"spiffe://csi.holdfast.dev/controller/"},
      {"spiffe://csi.holdfast.dev/Controller"},
      {"spiffe://csi.holdfast.dev/node/"},
      {"spiffe://csi.holdfast.dev/node/a/b"},
      {"spiffe://csi.holdfast.dev.evil/controller"},
      {"https://csi.holdfast.dev/controller"},
      {HolderUri(kController), HolderUri(kNodeA)},
  };
  for (const auto& uris : strangers) {
    EXPECT_CODE(ParseHolder(uris), kUnauthenticated) << uris.size();
  }
}

}  // namespace
}  // namespace holdfast
