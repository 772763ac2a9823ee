// What a pool's folders, its catalog and the kernel say of it, side by side. Reads only, so it
// works on a pool that another process serves.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/image/pool.h"

namespace holdfast {

// What the catalog claims: every row and trash entry, of whatever state.
struct FileClaim {
  ObjectKind kind = ObjectKind::kVolume;
  std::string id;
  std::string name;
  std::string incarnation;
  ObjectState state = ObjectState::kReady;
  bool trashed = false;
  bool copying = false;  // from another node, and not all of it is there
  // Of the image as recorded; 0: not known (snapshots, volumes being made).
  uint64_t inode = 0;
  uint32_t generation = 0;
  std::string filesystem_uuid;  // of volumes

  // The folder in which its file belongs: "volumes", "snapshots" or "trash".
  const char* Folder() const;
};

class FileClaims {
 public:
  static absl::StatusOr<FileClaims> Read(Catalog& catalog);

  const std::vector<FileClaim>& all() const { return all_; }
  // Null: nobody claims it.
  const FileClaim* OfIncarnation(std::string_view incarnation) const;
  // By the recorded inode, which is all that a loop device tells of its image.
  const FileClaim* OfInode(uint64_t inode) const;
  // By the recorded inode and generation: a file that was renamed by hand.
  const FileClaim* OfImage(const FileFacts& facts) const;
  // A volume, in the trash or not, with that filesystem.
  const FileClaim* OfFilesystem(std::string_view uuid) const;

 private:
  std::vector<FileClaim> all_;
};

// The incarnation that a file name stands for; nullopt: no name that this driver gives.
std::optional<std::string> IncarnationOf(std::string_view file);

// One name in volumes/, snapshots/, trash/ or work/.
struct PoolFile {
  std::string folder;
  std::string name;
  std::optional<FileFacts> facts;  // nullopt: no regular file

  std::string Path() const { return folder + "/" + name; }
};

inline constexpr const char* kPoolFolders[] = {"volumes", "snapshots", "trash", "work"};
// One of kPoolFolders.
const UniqueFd& FolderOf(const Pool& pool, std::string_view folder);

absl::StatusOr<std::vector<PoolFile>> ListPoolFiles(const Pool& pool);

// A loop device whose image lies, or lay, in the pool's folders: nothing else is ever touched.
struct PoolLoop {
  Loop loop;
  std::string folder;    // of the image
  std::string name;      // of the image
  bool deleted = false;  // the image has no name any more
  std::string Path() const { return folder + "/" + name; }
};

absl::StatusOr<std::vector<PoolLoop>> ListPoolLoops(const Pool& pool,
                                                    const std::vector<PoolFile>& files);

}  // namespace holdfast
