// What creates and deletes of raw block volumes, and cuts, cannot do without, and nothing else: the
// same catalog transactions and file operations, called in this process.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "catalog/catalog.h"
#include "os/host.h"

namespace holdfast::bench {

class HandCatalog {
 public:
  // In the empty folder `path`.
  static absl::StatusOr<std::unique_ptr<HandCatalog>> Make(const std::string& path);

  // Thread-safe. Durable as the driver's: docs/on-disk-format.md, "Order of durability".
  absl::Status CreateAndDelete(const std::string& name, uint64_t bytes);
  // Milliseconds of the cut alone, of the file `image` on the same filesystem.
  absl::StatusOr<double> CutAndDelete(const std::string& name, const std::string& image);

 private:
  absl::Status Create(const Volume& volume, const std::string& file);
  absl::Status Delete(Volume volume, const std::string& file);

  std::unique_ptr<Host> host_;
  std::unique_ptr<Catalog> catalog_;
  UniqueFd volumes_, work_, trash_;
};

}  // namespace holdfast::bench
