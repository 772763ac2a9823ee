#include "registration/registration_socket.h"

#include "base/build_info.h"
#include "base/status_macros.h"
#include "fmt/format.h"

namespace holdfast {

absl::StatusOr<std::string> RegistrationSocket::PathIn(const std::string& folder) {
  return SocketPath(fmt::format("unix://{}/{}-reg.sock", folder, kDriverName));
}

absl::StatusOr<std::unique_ptr<RegistrationSocket>> RegistrationSocket::Serve(
    const std::string& path, const std::string& csi_socket, RegistrationService::Heard heard) {
  ASSIGN_OR_RETURN(SocketClaim claim, SocketClaim::Take(path, "--kubelet-registration"));
  std::unique_ptr<RegistrationSocket> socket(
      new RegistrationSocket(std::move(claim), csi_socket, std::move(heard)));
  ServerOptions options;
  options.endpoint = "unix://" + path;
  options.max_threads = 8;
  options.shutdown_timeout = std::chrono::seconds(1);  // no call here takes time
  // No PrivateCreation: it is the whole process's, which serves CSI by now. Until it is protected,
  // the socket is as open as the umask leaves it, and tells nothing that is secret.
  ASSIGN_OR_RETURN(socket->server_, Server::Start(options, {&socket->service_}, {}));
  RETURN_IF_ERROR(socket->claim_.Protect());
  return socket;
}

}  // namespace holdfast
