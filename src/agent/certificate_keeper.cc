#include "agent/certificate_keeper.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/status_macros.h"
#include "spdlog/spdlog.h"

namespace holdfast {
namespace {

constexpr std::chrono::seconds kFirstRetry{1}, kLastRetry{60};

}  // namespace

CertificateKeeper::CertificateKeeper(Obtain obtain, Keep keep, const Clock& clock)
    : obtain_(std::move(obtain)),
      keep_(std::move(keep)),
      clock_(clock),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void CertificateKeeper::Run(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  std::chrono::seconds retry = kFirstRetry;
  std::string trouble;
  while (!stop.stop_requested()) {
    const absl::StatusOr<std::chrono::seconds> next = Renew();
    std::chrono::seconds wait = retry;
    if (next.ok()) {
      wait = *next;
      retry = kFirstRetry;
      trouble.clear();
    } else {
      const std::string message(next.status().message());
      if (message != trouble) spdlog::warn("no certificate, trying again: {}", message);
      trouble = message;
      retry = std::min(2 * retry, kLastRetry);
    }
    wake.wait_for(lock, stop, wait, [&stop] { return stop.stop_requested(); });
  }
}

absl::StatusOr<std::chrono::seconds> CertificateKeeper::Renew() {
  ASSIGN_OR_RETURN(const Credentials credentials, obtain_());
  ASSIGN_OR_RETURN(const CertificateFacts facts, ReadCertificate(credentials.certificate));
  RETURN_IF_ERROR(keep_(credentials));
  const int64_t now = clock_.UnixNanos() / 1'000'000'000;
  const std::chrono::seconds left(std::max<int64_t>(0, facts.not_after_unix_seconds - now));
  return std::max(left / 2, kFirstRetry);
}

}  // namespace holdfast
