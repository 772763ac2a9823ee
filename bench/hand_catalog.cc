#include "bench/hand_catalog.h"

#include <filesystem>

#include "base/status_macros.h"
#include "base/uuid.h"
#include "bench/machine.h"
#include "os/linux_host.h"

namespace holdfast::bench {

absl::StatusOr<std::unique_ptr<HandCatalog>> HandCatalog::Make(const std::string& path) {
  std::unique_ptr<HandCatalog> made(new HandCatalog);
  ASSIGN_OR_RETURN(made->host_, LinuxHost::Create({.target_roots = {path}}));
  ASSIGN_OR_RETURN(const UniqueFd root, made->host_->OpenFolder(path));
  ASSIGN_OR_RETURN(made->volumes_, made->host_->EnsureFolder(root, "volumes"));
  ASSIGN_OR_RETURN(made->work_, made->host_->EnsureFolder(root, "work"));
  ASSIGN_OR_RETURN(made->trash_, made->host_->EnsureFolder(root, "trash"));
  ASSIGN_OR_RETURN(made->catalog_,
                   CreateCatalog(path + "/catalog.db", {.uuid = NewUuid(), .name = "by-hand"}));
  return made;
}

absl::Status HandCatalog::CreateAndDelete(const std::string& name, uint64_t bytes) {
  Volume volume;
  volume.id = MakeId(ObjectKind::kVolume, catalog_->identity().uuid, name);
  volume.name = name;
  volume.incarnation = NewUuid();
  volume.capacity_bytes = bytes;
  volume.parameters.provisioning = Provisioning::kThin;
  const std::string file = volume.incarnation + ".img";
  RETURN_IF_ERROR(Create(volume, file));
  return Delete(volume, file);
}

absl::Status HandCatalog::Create(const Volume& volume, const std::string& file) {
  RETURN_IF_ERROR(catalog_->InsertVolume(volume, Outlives::kProcess));
  ASSIGN_OR_RETURN(const UniqueFd image, host_->CreateFile(work_, file));
  RETURN_IF_ERROR(host_->TuneImage(image));
  RETURN_IF_ERROR(host_->Resize(image, volume.capacity_bytes));
  RETURN_IF_ERROR(host_->Sync(image));
  Volume ready = volume;
  ready.state = ObjectState::kReady;
  RETURN_IF_ERROR(catalog_->UpdateVolume(ready));
  return host_->Rename(work_, file, volumes_, file);
}

absl::Status HandCatalog::Delete(Volume volume, const std::string& file) {
  volume.state = ObjectState::kDeleting;
  RETURN_IF_ERROR(catalog_->UpdateVolume(volume));
  RETURN_IF_ERROR(host_->Rename(volumes_, file, trash_, file));
  RETURN_IF_ERROR(host_->SyncFolder(trash_));
  RETURN_IF_ERROR(host_->SyncFolder(volumes_));
  RETURN_IF_ERROR(catalog_->MoveToTrash(
      {.incarnation = volume.incarnation, .kind = ObjectKind::kVolume, .id = volume.id}));
  RETURN_IF_ERROR(host_->Remove(trash_, file).status());
  RETURN_IF_ERROR(host_->SyncFolder(trash_));
  return catalog_->RemoveTrash(volume.incarnation);
}

absl::StatusOr<double> HandCatalog::CutAndDelete(const std::string& name,
                                                 const std::string& image) {
  const std::filesystem::path path(image);
  ASSIGN_OR_RETURN(const UniqueFd folder, host_->OpenFolder(path.parent_path()));
  ASSIGN_OR_RETURN(const auto source, host_->OpenFile(folder, path.filename(), Access::kReadOnly));
  if (!source) return absl::NotFoundError(image);
  Snapshot snapshot{.id = MakeId(ObjectKind::kSnapshot, catalog_->identity().uuid, name),
                    .name = name,
                    .incarnation = NewUuid()};
  const std::string file = snapshot.incarnation + ".img";
  const Stopwatch watch;
  RETURN_IF_ERROR(catalog_->InsertSnapshot(snapshot, Outlives::kProcess));
  ASSIGN_OR_RETURN(const UniqueFd cut, host_->CreateFile(work_, file));
  RETURN_IF_ERROR(host_->TuneImage(cut));
  RETURN_IF_ERROR(host_->Clone(*source, cut));
  RETURN_IF_ERROR(host_->Sync(cut));
  snapshot.state = ObjectState::kReady;
  RETURN_IF_ERROR(catalog_->UpdateSnapshot(snapshot));
  RETURN_IF_ERROR(host_->Rename(work_, file, volumes_, file));
  const double milliseconds = watch.Milliseconds();
  RETURN_IF_ERROR(host_->Remove(volumes_, file).status());
  RETURN_IF_ERROR(catalog_->RemoveSnapshot(snapshot.id));
  return milliseconds;
}

}  // namespace holdfast::bench
