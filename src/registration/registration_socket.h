// The socket in kubelet's folder of plugins (plugins_registry) by which kubelet finds the driver.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "os/unix_socket.h"
#include "registration/registration_service.h"
#include "rpc/server.h"

namespace holdfast {

// Serves as long as it lives. kubelet watches the folder: it registers the driver when the socket
// appears, forgets it when the socket goes, and asks anew when it starts itself.
class RegistrationSocket {
 public:
  // "<folder>/csi.holdfast.dev-reg.sock". INVALID_ARGUMENT: too long for a socket.
  static absl::StatusOr<std::string> PathIn(const std::string& folder);

  // To be called when CSI is served already: kubelet calls it at once. FAILED_PRECONDITION, one
  // sentence: another process serves `path`, or its folder cannot be made or written.
  static absl::StatusOr<std::unique_ptr<RegistrationSocket>> Serve(
      const std::string& path, const std::string& csi_socket, RegistrationService::Heard heard);
  ~RegistrationSocket() = default;
  RegistrationSocket(const RegistrationSocket&) = delete;
  RegistrationSocket& operator=(const RegistrationSocket&) = delete;

 private:
  RegistrationSocket(SocketClaim claim, const std::string& csi_socket,
                     RegistrationService::Heard heard)
      : claim_(std::move(claim)), service_(csi_socket, std::move(heard)) {}

  SocketClaim claim_;  // outlives the server, which removes the socket when it ends
  RegistrationService service_;
  std::unique_ptr<Server> server_;
};

}  // namespace holdfast
