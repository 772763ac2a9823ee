// What a request may ask of a volume that exists.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "os/host.h"
#include "rpc/parse.h"
#include "volume/volume.h"

namespace holdfast {

// The capability's mount flags by libmount, read-only where the access mode says so.
// INVALID_ARGUMENT, with the reason, for one that would defeat the promise.
absl::StatusOr<MountFlags> ParseAllowedFlags(const Capability& capability);

// "ext4", "block", …; "a filesystem" when it does not say which.
std::string WantedContent(const Capability& capability);

// INVALID_ARGUMENT unless the volume has the content that the capability wants.
absl::Status CheckContent(const Volume& volume, const Capability& capability);

// FAILED_PRECONDITION when a publish names options of the filesystem itself (sync, commit=30, …)
// and others than it was staged with: they are set when it is mounted, and it would not get them.
absl::Status CheckOptionsAsStaged(const Volume& volume, const MountFlags& publish);

// The record of a volume that is being staged now on these terms, at that resolved path, on that
// loop device.
absl::StatusOr<StageRecord> StagedRecord(Host& host, const Volume& volume, const StageTerms& terms,
                                         const std::string& staging, const Loop& loop);

// Whether it is the attachment that the recorded stage made, not one by somebody else since.
bool IsStagedOn(const StageRecord& record, const Loop& loop);

// The same of the mount at that resolved path: a filesystem can be mounted anywhere by hand, a raw
// block volume is its device alone. True for a row of before paths were recorded.
bool IsStagedAt(const Volume& volume, const Loop& loop, const std::string& path);

// Whether the volume is recorded as staged at exactly that resolved path.
bool IsStagingPath(const Volume& volume, const std::string& path);

}  // namespace holdfast
