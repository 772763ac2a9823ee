// Keeps a program's certificate from running out, while it runs.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "agent/enrolment.h"
#include "base/clock.h"

namespace holdfast {

// Obtains credentials until it has them, keeps them where the link reads them, and does so again
// when half of their time is over; what fails is told in the log and tried again, at first after a
// second and later after a minute. Thread-safe.
class CertificateKeeper {
 public:
  using Obtain = std::function<absl::StatusOr<Credentials>()>;
  using Keep = std::function<absl::Status(const Credentials& credentials)>;

  // Starts at once. `clock` must outlive it.
  CertificateKeeper(Obtain obtain, Keep keep, const Clock& clock);

 private:
  void Run(const std::stop_token& stop);
  // When to come back.
  absl::StatusOr<std::chrono::seconds> Renew();

  const Obtain obtain_;
  const Keep keep_;
  const Clock& clock_;
  std::jthread thread_;
};

}  // namespace holdfast
