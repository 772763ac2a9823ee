// StorageClass parameters.
//
// Keys: pool, provisioning (thick | thin), reserve (percent, 100; less only in overcommitted pools,
// which the engine checks), rawBlockOvercommit (acknowledged-writes-may-be-lost), rootMode (octal),
// rootOwner ("uid:gid"). "csi.storage.k8s.io/…" keys are metadata of the sidecars and become
// labels.
#pragma once

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "volume/volume.h"

namespace holdfast {

struct ParsedParameters {
  ClassParameters parameters;
  std::map<std::string, std::string> labels;
};

// INVALID_ARGUMENT, naming the key, what was expected and what was found; an unknown key lists the
// known ones.
absl::StatusOr<ParsedParameters> ParseClassParameters(
    const std::map<std::string, std::string>& parameters);

}  // namespace holdfast
