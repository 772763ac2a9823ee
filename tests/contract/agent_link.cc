#include "tests/contract/agent_link.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/clock.h"
#include "engine/fake/fake_engine.h"
#include "volume/space.h"

namespace holdfast {
namespace {

constexpr char kNode[] = "node-a";

TestPki& Pki() {
  static TestPki pki;
  return pki;
}

}  // namespace

AgentLink::AgentLink(StorageEngine& engine) : service_(engine) {
  const Holder node{Holder::Role::kNode, kNode};
  ServerOptions options;
  options.address = "127.0.0.1:0";
  options.credentials = LinkTls(Pki().FilesOf(node)).Server();
  auto server = Server::Start(options, {&service_}, {});
  if (!server.ok()) {
    std::fprintf(stderr, "agent: %s\n", std::string(server.status().message()).c_str());
    std::abort();
  }
  server_ = *std::move(server);
  remote_ = std::make_unique<RemoteEngine>(
      AgentChannel("127.0.0.1:" + std::to_string(server_->port()),
                   LinkTls(Pki().FilesOf({Holder::Role::kController, ""})).Client(node)),
      kNode);
}

void AgentLink::WarmUp() {
  static const bool once = [] {
    const SystemClock clock;
    FakeEngine engine(clock, {{"pool", uint64_t{1} << 30, PoolFilesystem::kXfs, false}});
    AgentLink link(engine);
    return link.engine().Pools().size() == 1;
  }();
  if (!once) std::abort();
}

}  // namespace holdfast
