// Certificates of a test's own, as files in a temporary folder.
#pragma once

#include <chrono>
#include <string>

#include "agent/tls.h"
#include "base/clock.h"
#include "pki/certificates.h"

namespace holdfast {

class TestPki {
 public:
  TestPki();
  ~TestPki();
  TestPki(const TestPki&) = delete;
  TestPki& operator=(const TestPki&) = delete;

  // Made anew at each call. A negative lifetime is one that has expired.
  TlsFiles FilesOf(const Holder& holder, std::chrono::seconds lifetime = std::chrono::hours(24));

 private:
  const SystemClock clock_;
  CertificateAuthority authority_;
  std::string folder_;
  int number_ = 0;
};

}  // namespace holdfast
