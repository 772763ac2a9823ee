#include "volume/volume.h"

namespace holdfast {

const char* ContentName(Content content) {
  switch (content) {
    case Content::kBlock:
      return "block";
    case Content::kExt4:
      return "ext4";
    case Content::kXfs:
      return "xfs";
    case Content::kBtrfs:
      return "btrfs";
  }
  return "unknown";
}

std::optional<Content> ParseContent(const std::string& name) {
  for (const Content content : {Content::kBlock, Content::kExt4, Content::kXfs, Content::kBtrfs}) {
    if (name == ContentName(content)) return content;
  }
  return std::nullopt;
}

}  // namespace holdfast
