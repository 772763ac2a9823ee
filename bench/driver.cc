#include "bench/driver.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/status_macros.h"
#include "bench/machine.h"

namespace holdfast::bench {
namespace {

constexpr char kNode[] = "bench";

std::string Log(const std::string& folder) { return folder + "/driver.log"; }

std::string Socket(const std::string& folder) { return folder + "/csi.sock"; }

// Somebody listens there.
bool Accepts(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected =
      connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(fd);
  return connected;
}

std::string LastLine(const std::string& path) {
  std::ifstream file(path);
  std::string line, last;
  while (std::getline(file, line)) last = line;
  return last;
}

// It ends with us, however we end. `log` empty: it says what it says to our caller.
absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& command, const std::string& log) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t pid = fork();
  if (pid < 0) return absl::InternalError("fork failed");
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(output, 1);
  dup2(output, 2);
  execv(arguments[0], arguments.data());
  _exit(127);
}

csi::v1::VolumeCapability Capability(const std::string& filesystem) {
  csi::v1::VolumeCapability capability;
  capability.mutable_access_mode()->set_mode(
      csi::v1::VolumeCapability::AccessMode::SINGLE_NODE_WRITER);
  if (filesystem.empty()) {
    capability.mutable_block();
  } else {
    capability.mutable_mount()->set_fs_type(filesystem);
  }
  return capability;
}

}  // namespace

absl::Status StatusOfCall(const char* method, const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::InternalError(fmt::format("{}: {} (code {})", method, status.error_message(),
                                         static_cast<int>(status.error_code())));
}

Driver::Driver(DriverOptions options, const std::string& endpoint) : options_(std::move(options)) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // ten thousand volumes in one answer
  const auto channel =
      grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
  identity_ = csi::v1::Identity::NewStub(channel);
  controller_ = csi::v1::Controller::NewStub(channel);
  node_ = csi::v1::Node::NewStub(channel);
}

std::unique_ptr<Driver> Driver::At(const std::string& endpoint) {
  return std::unique_ptr<Driver>(new Driver({}, endpoint));
}

absl::StatusOr<std::unique_ptr<Driver>> Driver::Start(const DriverOptions& options) {
  const std::string log = Log(options.folder);
  ASSIGN_OR_RETURN(const pid_t init, Spawn({options.programs + "/holdfastctl", "pool", "init",
                                            options.pool, "--name", "bench"},
                                           log));
  int status = 0;
  waitpid(init, &status, 0);
  if (status != 0) return absl::InternalError("holdfastctl pool init: " + LastLine(log));
  std::unique_ptr<Driver> driver(new Driver(options, "unix://" + Socket(options.folder)));
  RETURN_IF_ERROR(driver->StartServer());
  return driver;
}

absl::Status Driver::StartServer() {
  const std::string log = Log(options_.folder);
  ASSIGN_OR_RETURN(pid_, Spawn({options_.programs + "/holdfast", "all", "--endpoint",
                                "unix://" + Socket(options_.folder), "--pool", options_.pool,
                                "--node-id", kNode, "--kubelet-root", options_.targets,
                                "--run-folder", options_.folder + "/run", "--trash-grace", "0"},
                               log));
  const Stopwatch watch;
  // gRPC waits a second after a connection that was refused: it is asked once there is a socket.
  while (!Accepts(Socket(options_.folder))) {
    if (watch.Milliseconds() > 10'000) {
      return absl::InternalError("holdfast did not serve: " + LastLine(log));
    }
    std::this_thread::sleep_for(std::chrono::microseconds(500));
  }
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  csi::v1::ProbeResponse response;
  RETURN_IF_ERROR(StatusOfCall("Probe", identity_->Probe(&context, {}, &response)));
  if (response.ready().value()) return absl::OkStatus();
  return absl::InternalError("holdfast is not ready: " + LastLine(log));
}

absl::StatusOr<double> Driver::Restart() {
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
  std::filesystem::remove(Socket(options_.folder));
  const Stopwatch watch;
  RETURN_IF_ERROR(StartServer());
  return watch.Milliseconds();
}

absl::StatusOr<double> Driver::ResidentMib() const {
  std::ifstream status(fmt::format("/proc/{}/status", pid_));
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmRSS:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  return absl::InternalError("no VmRSS of the server");
}

Driver::~Driver() {
  if (pid_ == 0) return;
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
}

csi::v1::CreateVolumeRequest Driver::CreateRequest(const VolumeWish& wish) const {
  csi::v1::CreateVolumeRequest request;
  request.set_name(wish.name);
  request.mutable_capacity_range()->set_required_bytes(static_cast<int64_t>(wish.bytes));
  *request.add_volume_capabilities() = Capability(wish.filesystem);
  // Another driver has parameters of its own.
  if (pid_ != 0) (*request.mutable_parameters())["provisioning"] = wish.thick ? "thick" : "thin";
  csi::v1::VolumeContentSource source;
  if (!wish.from_snapshot.empty()) {
    source.mutable_snapshot()->set_snapshot_id(wish.from_snapshot);
    *request.mutable_volume_content_source() = source;
  } else if (!wish.from_volume.empty()) {
    source.mutable_volume()->set_volume_id(wish.from_volume);
    *request.mutable_volume_content_source() = source;
  }
  return request;
}

absl::StatusOr<std::string> Driver::CreateVolume(const VolumeWish& wish) {
  grpc::ClientContext context;
  csi::v1::CreateVolumeResponse response;
  RETURN_IF_ERROR(StatusOfCall(
      "CreateVolume", controller_->CreateVolume(&context, CreateRequest(wish), &response)));
  return response.volume().volume_id();
}

absl::StatusOr<std::string> Driver::CreateSnapshot(const std::string& name,
                                                   const std::string& volume) {
  csi::v1::CreateSnapshotRequest request;
  request.set_name(name);
  request.set_source_volume_id(volume);
  grpc::ClientContext context;
  csi::v1::CreateSnapshotResponse response;
  RETURN_IF_ERROR(
      StatusOfCall("CreateSnapshot", controller_->CreateSnapshot(&context, request, &response)));
  return response.snapshot().snapshot_id();
}

absl::Status Driver::DeleteVolume(const std::string& id) {
  csi::v1::DeleteVolumeRequest request;
  request.set_volume_id(id);
  grpc::ClientContext context;
  csi::v1::DeleteVolumeResponse response;
  return StatusOfCall("DeleteVolume", controller_->DeleteVolume(&context, request, &response));
}

absl::Status Driver::DeleteSnapshot(const std::string& id) {
  csi::v1::DeleteSnapshotRequest request;
  request.set_snapshot_id(id);
  grpc::ClientContext context;
  csi::v1::DeleteSnapshotResponse response;
  return StatusOfCall("DeleteSnapshot", controller_->DeleteSnapshot(&context, request, &response));
}

absl::StatusOr<csi::v1::ListVolumesResponse> Driver::ListVolumes(int32_t entries) {
  csi::v1::ListVolumesRequest request;
  request.set_max_entries(entries);
  grpc::ClientContext context;
  csi::v1::ListVolumesResponse response;
  RETURN_IF_ERROR(
      StatusOfCall("ListVolumes", controller_->ListVolumes(&context, request, &response)));
  return response;
}

absl::StatusOr<csi::v1::ListVolumesResponse> Driver::ListAllVolumes() {
  csi::v1::ListVolumesRequest request;
  csi::v1::ListVolumesResponse all;
  do {
    grpc::ClientContext context;
    csi::v1::ListVolumesResponse page;
    RETURN_IF_ERROR(
        StatusOfCall("ListVolumes", controller_->ListVolumes(&context, request, &page)));
    request.set_starting_token(page.next_token());
    // Not copied, which would be the client's time.
    if (all.entries().empty()) {
      all.Swap(&page);
    } else {
      for (auto& entry : *page.mutable_entries()) all.add_entries()->Swap(&entry);
    }
  } while (!request.starting_token().empty());
  return all;
}

absl::StatusOr<double> Driver::ServerMilliseconds(const std::string& method) const {
  const std::string line = LastLine(Log(options_.folder));
  const size_t took = line.find(" ms=");
  if (line.find(" " + method + " ") == std::string::npos || took == std::string::npos) {
    return absl::NotFoundError("expected a call of " + method + " in the log, found: " + line);
  }
  return std::strtod(line.c_str() + took + 4, nullptr);
}

std::string Driver::Target(const std::string& id) const {
  return fmt::format("{}/{}-target", options_.targets, id);
}

std::string Driver::Staging(const std::string& id) const {
  return fmt::format("{}/{}-staging", options_.targets, id);
}

absl::Status Driver::Open(const std::string& id, const std::string& filesystem) {
  std::filesystem::create_directory(Staging(id));  // kubelet does
  csi::v1::NodeStageVolumeRequest stage;
  stage.set_volume_id(id);
  stage.set_staging_target_path(Staging(id));
  *stage.mutable_volume_capability() = Capability(filesystem);
  csi::v1::NodePublishVolumeRequest publish;
  publish.set_volume_id(id);
  publish.set_staging_target_path(Staging(id));
  publish.set_target_path(Target(id));
  *publish.mutable_volume_capability() = Capability(filesystem);
  grpc::ClientContext stage_context, publish_context;
  csi::v1::NodeStageVolumeResponse staged;
  csi::v1::NodePublishVolumeResponse published;
  RETURN_IF_ERROR(
      StatusOfCall("NodeStageVolume", node_->NodeStageVolume(&stage_context, stage, &staged)));
  return StatusOfCall("NodePublishVolume",
                      node_->NodePublishVolume(&publish_context, publish, &published));
}

absl::Status Driver::Close(const std::string& id) {
  csi::v1::NodeUnpublishVolumeRequest unpublish;
  unpublish.set_volume_id(id);
  unpublish.set_target_path(Target(id));
  csi::v1::NodeUnstageVolumeRequest unstage;
  unstage.set_volume_id(id);
  unstage.set_staging_target_path(Staging(id));
  grpc::ClientContext unpublish_context, unstage_context;
  csi::v1::NodeUnpublishVolumeResponse unpublished;
  csi::v1::NodeUnstageVolumeResponse unstaged;
  RETURN_IF_ERROR(
      StatusOfCall("NodeUnpublishVolume",
                   node_->NodeUnpublishVolume(&unpublish_context, unpublish, &unpublished)));
  return StatusOfCall("NodeUnstageVolume",
                      node_->NodeUnstageVolume(&unstage_context, unstage, &unstaged));
}

absl::StatusOr<OpenVolume> OpenVolume::Open(Driver& driver, const std::string& id,
                                            const std::string& filesystem) {
  RETURN_IF_ERROR(driver.Open(id, filesystem));
  return OpenVolume(driver, id);
}

OpenVolume::OpenVolume(OpenVolume&& other) noexcept
    : driver_(std::exchange(other.driver_, nullptr)), id_(std::move(other.id_)) {}

absl::Status OpenVolume::Close() {
  if (driver_ == nullptr) return absl::OkStatus();
  return std::exchange(driver_, nullptr)->Close(id_);
}

}  // namespace holdfast::bench
