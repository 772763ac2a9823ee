// What a create and a delete of a raw block volume cannot do without, and nothing else: the same
// catalog transactions and file operations, called in this process.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "catalog/catalog.h"
#include "os/host.h"

namespace holdfast::bench {

class HandCatalog {
 public:
  // In the folder `path`, which is made.
  static absl::StatusOr<std::unique_ptr<HandCatalog>> Make(const std::string& path);

  // Thread-safe. Durable as the driver's: docs/on-disk-format.md, "Order of durability".
  absl::Status CreateAndDelete(const std::string& name, uint64_t bytes);

 private:
  absl::Status Create(const Volume& volume, const std::string& file);
  absl::Status Delete(Volume volume, const std::string& file);

  std::unique_ptr<Host> host_;
  std::unique_ptr<Catalog> catalog_;
  UniqueFd volumes_, work_, trash_;
};

}  // namespace holdfast::bench
