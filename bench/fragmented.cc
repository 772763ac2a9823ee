#include "bench/fragmented.h"

#include "base/status_macros.h"
#include "bench/fio.h"
#include "bench/machine.h"

namespace holdfast::bench {

absl::StatusOr<Fragmented> FragmentedVolume(Driver& driver, const std::string& name,
                                            uint64_t extents) {
  ASSIGN_OR_RETURN(
      const std::string id,
      driver.CreateVolume({.name = name, .filesystem = "", .bytes = kFragmentedBytes}));
  ASSIGN_OR_RETURN(OpenVolume volume, OpenVolume::Open(driver, id, ""));
  RETURN_IF_ERROR(FillFile(volume.path(), kFragmentedBytes));
  if (extents > 1) {
    ASSIGN_OR_RETURN(const std::string seed, driver.CreateSnapshot(name + "-seed", id));
    RETURN_IF_ERROR(RunFio({{.file = volume.path(),
                             .pattern = "write:4k",
                             .depth = 32,
                             .total_bytes = extents / 2 * 4096}})
                        .status());
    RETURN_IF_ERROR(driver.DeleteSnapshot(seed));
  }
  ASSIGN_OR_RETURN(const std::string image, ImageBehind(volume.path(), /*block=*/true));
  Settle(image);
  RETURN_IF_ERROR(volume.Close());
  return Fragmented{.id = id, .image = image, .extents = ExtentCount(image)};
}

}  // namespace holdfast::bench
