#include "fmt/format.h"
#include "identity/identity_service.h"

namespace holdfast {

absl::Status IdentityService::Handle(const csi::v1::ProbeRequest&,
                                     csi::v1::ProbeResponse& response) {
  const ProbeState state = probe_();
  switch (state.health) {
    case ProbeState::Health::kUnhealthy:
      return absl::FailedPreconditionError(state.reason);
    case ProbeState::Health::kStarting:
      response.mutable_ready()->set_value(false);
      return absl::OkStatus();
    case ProbeState::Health::kReady:
      response.mutable_ready()->set_value(true);
      return absl::OkStatus();
  }
  return absl::InternalError(fmt::format("probe: health {}", static_cast<int>(state.health)));
}

}  // namespace holdfast
