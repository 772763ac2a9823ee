// What an administrator may ask of the pools of this machine beside what CSI asks.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/image/image_engine.h"
#include "engine/image/upkeep/examination.h"
#include "engine/image/upkeep/orphans.h"

namespace holdfast {

// Thread-safe. Takes the locks of the engine: ABORTED while a call has the object, or another of
// these works on orphans. Every verb may be repeated after any failure.
class ImageUpkeep {
 public:
  // All must outlive it.
  ImageUpkeep(ImageEngine& engine, Host& host, const Clock& clock)
      : engine_(engine), host_(host), clock_(clock) {}

  // What lies in the trash under that incarnation (RestoreEntry says when not). The same when it
  // is back already. NOT_FOUND: neither.
  absl::StatusOr<TrashEntry> RestoreTrash(std::string_view incarnation);
  // Gone for good. False: there is none (any more).
  absl::StatusOr<bool> PurgeTrash(std::string_view incarnation);
  // AdoptOrphan says when not. `pool`: UUID or name; NOT_FOUND. ALREADY_EXISTS also when another
  // pool has a volume of that name.
  absl::StatusOr<Volume> Adopt(std::string_view pool, const AdoptRequest& request);
  // The pool's filesystem to the size of its disk. Nothing happens when it has that size.
  struct Growth {
    PoolStatus before, after;
  };
  absl::StatusOr<Growth> GrowPool(std::string_view pool);
  // Every pool, refused ones included, and the freezes on record.
  absl::StatusOr<Examination> Examine(bool fix);

 private:
  absl::Status CheckNameIsFree(ObjectKind kind, const std::string& name, const Pool& pool,
                               const std::string& remedy);
  // Who has an incarnation: a trash entry, or a row.
  struct Whereabouts {
    Pool* pool = nullptr;
    TrashEntry entry;
    bool trashed = false;
    ObjectState state = ObjectState::kReady;
  };
  absl::StatusOr<Whereabouts> Locate(std::string_view incarnation);
  absl::StatusOr<VolumeLocks::Guard> Lock(const Whereabouts& found);
  absl::StatusOr<Pool*> FindPool(std::string_view pool);

  ImageEngine& engine_;
  Host& host_;
  const Clock& clock_;
};

}  // namespace holdfast
