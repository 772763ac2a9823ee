#include "volume/snapshot.h"

namespace holdfast {

const char* ConsistencyName(Consistency consistency) {
  switch (consistency) {
    case Consistency::kFrozen:
      return "frozen";
    case Consistency::kOffline:
      return "offline";
    case Consistency::kCrash:
      return "crash";
  }
  return "unknown";
}

}  // namespace holdfast
