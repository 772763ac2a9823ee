#include "tests/fakes/test_pki.h"

#include <filesystem>
#include <fstream>

#include "fmt/format.h"
#include "gtest/gtest.h"

namespace holdfast {
namespace {

CertificateAuthority MakeAuthority(const Clock& clock) {
  auto authority = CertificateAuthority::Create(clock);
  EXPECT_TRUE(authority.ok()) << authority.status();
  return *std::move(authority);
}

void Write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

TestPki::TestPki() : authority_(MakeAuthority(clock_)) {
  std::string name = (std::filesystem::temp_directory_path() / "holdfast-pki-XXXXXX").string();
  EXPECT_NE(mkdtemp(name.data()), nullptr) << name;
  folder_ = name;
}

TestPki::~TestPki() { std::filesystem::remove_all(folder_); }

TlsFiles TestPki::FilesOf(const Holder& holder, std::chrono::seconds lifetime) {
  const auto key = NewPrivateKey();
  EXPECT_TRUE(key.ok()) << key.status();
  const auto request = NewSigningRequest(*key);
  EXPECT_TRUE(request.ok()) << request.status();
  const auto certificate = authority_.Sign(*request, holder, lifetime, clock_);
  EXPECT_TRUE(certificate.ok()) << certificate.status();
  const std::string base = fmt::format("{}/{}", folder_, ++number_);
  const TlsFiles files{base + ".ca.pem", base + ".pem", base + ".key.pem"};
  Write(files.authority, authority_.certificate_pem());
  Write(files.certificate, *certificate);
  Write(files.private_key, *key);
  return files;
}

}  // namespace holdfast
