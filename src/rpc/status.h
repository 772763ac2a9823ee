// From absl::Status to what a CSI client sees.
#pragma once

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace holdfast {

// The same code; a message that is never empty, one line (control characters become '?') and at
// most 4 KiB, because kubelet copies it into an event. Never details: CSI forbids them.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace holdfast
