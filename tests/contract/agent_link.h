// An engine as the controller of a cluster reaches it: an agent's service on a port of loopback,
// its client, and mutual TLS between them.
#pragma once

#include <memory>

#include "agent/agent_service.h"
#include "agent/remote_engine.h"
#include "rpc/server.h"
#include "tests/fakes/test_pki.h"

namespace holdfast {

class AgentLink {
 public:
  // `engine` must outlive the link. Aborts the test program when it cannot be made.
  explicit AgentLink(StorageEngine& engine);
  StorageEngine& engine() { return *remote_; }

  // What gRPC opens once and keeps for the life of the process.
  static void WarmUp();

 private:
  AgentService service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<RemoteEngine> remote_;
};

}  // namespace holdfast
