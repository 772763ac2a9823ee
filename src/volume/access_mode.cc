#include "volume/access_mode.h"

namespace holdfast {

const char* AccessModeName(AccessMode mode) {
  switch (mode) {
    case AccessMode::kSingleNodeWriter:
      return "SINGLE_NODE_WRITER";
    case AccessMode::kSingleNodeReaderOnly:
      return "SINGLE_NODE_READER_ONLY";
    case AccessMode::kMultiNodeReaderOnly:
      return "MULTI_NODE_READER_ONLY";
    case AccessMode::kSingleNodeSingleWriter:
      return "SINGLE_NODE_SINGLE_WRITER";
    case AccessMode::kSingleNodeMultiWriter:
      return "SINGLE_NODE_MULTI_WRITER";
  }
  return "UNKNOWN";
}

std::optional<AccessMode> ParseAccessMode(const std::string& name) {
  for (const AccessMode mode :
       {AccessMode::kSingleNodeWriter, AccessMode::kSingleNodeReaderOnly,
        AccessMode::kMultiNodeReaderOnly, AccessMode::kSingleNodeSingleWriter,
        AccessMode::kSingleNodeMultiWriter}) {
    if (name == AccessModeName(mode)) return mode;
  }
  return std::nullopt;
}

bool IsReadOnly(AccessMode mode) {
  return mode == AccessMode::kSingleNodeReaderOnly || mode == AccessMode::kMultiNodeReaderOnly;
}

bool AllowsSeveralTargets(AccessMode mode) {
  return mode == AccessMode::kMultiNodeReaderOnly || mode == AccessMode::kSingleNodeMultiWriter;
}

}  // namespace holdfast
