#include "agent/remote_engine.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "agent/agent_service.h"
#include "agent/wire.h"
#include "base/status_macros.h"
#include "fmt/format.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/channel_arguments.h"

namespace holdfast {
namespace {

// Of a list in one message: what it holds stays far below kMaxMessageBytes.
constexpr uint64_t kPage = 4096;
constexpr int kMaxMessageBytes = 64 << 20;
// A refusal of ours has up to 4 KiB, which percent-encoding can make three times as long.
constexpr int kMaxMetadataBytes = 16 << 10;
constexpr int kKeepaliveMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;
constexpr int kMaxBackoffMs = 5'000;

// Lists in pages, however many are asked for, by their ids.
template <typename Item, typename AskPage>
absl::StatusOr<std::vector<Item>> InPages(std::string_view after, uint64_t limit, AskPage ask) {
  std::vector<Item> all;
  std::string last(after);
  while (limit == 0 || all.size() < limit) {
    const uint64_t wanted = limit == 0 ? kPage : std::min<uint64_t>(kPage, limit - all.size());
    ASSIGN_OR_RETURN(std::vector<Item> page, ask(last, wanted));
    const bool more = page.size() == wanted;
    all.insert(all.end(), std::make_move_iterator(page.begin()),
               std::make_move_iterator(page.end()));
    if (!more) break;
    last = all.back().id;
  }
  return all;
}

template <typename Item, typename Wires>
absl::StatusOr<std::vector<Item>> ItemsFromWire(const Wires& wires) {
  std::vector<Item> items;
  items.reserve(wires.size());
  for (const auto& wire : wires) {
    ASSIGN_OR_RETURN(Item item, FromWire(wire));
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace

std::shared_ptr<grpc::Channel> AgentChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxBackoffMs);
  // Never through a proxy of the environment, and never a connection that another channel made with
  // other credentials.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

template <typename Request, typename Response>
absl::StatusOr<Response> RemoteEngine::Call(Method<Request, Response> method,
                                            const Request& request,
                                            std::chrono::milliseconds limit) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + limit);
  Response response;
  const grpc::Status status = (stub_.get()->*method)(&context, request, &response);
  if (status.ok()) return response;
  if (context.GetServerTrailingMetadata().contains(kAnsweredKey)) {
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return absl::DeadlineExceededError(
        fmt::format("the agent of node {} has not answered within {} s and goes on with the call; "
                    "repeat it, and look at that node's load and disks",
                    node_, std::chrono::duration_cast<std::chrono::seconds>(limit).count()));
  }
  return absl::UnavailableError(fmt::format(
      "the agent of node {} does not answer ({}); is the node up, and its holdfast-node pod?",
      node_, status.error_message()));
}

absl::StatusOr<Volume> RemoteEngine::CreateVolume(const VolumeRequest& request) {
  ASSIGN_OR_RETURN(const auto response,
                   Call(&agent::v1::Storage::Stub::CreateVolume, ToWire(request), limits_.change));
  return FromWire(response.volume());
}

absl::Status RemoteEngine::DeleteVolume(std::string_view id) {
  agent::v1::DeleteVolumeRequest request;
  request.set_id(std::string(id));
  return Call(&agent::v1::Storage::Stub::DeleteVolume, request, limits_.change).status();
}

absl::StatusOr<Volume> RemoteEngine::ExpandVolume(std::string_view id, const CapacityRange& range) {
  agent::v1::ExpandVolumeRequest request;
  request.set_id(std::string(id));
  *request.mutable_capacity() = ToWire(range);
  ASSIGN_OR_RETURN(const auto response,
                   Call(&agent::v1::Storage::Stub::ExpandVolume, request, limits_.change));
  return FromWire(response.volume());
}

absl::StatusOr<std::optional<Volume>> RemoteEngine::FindVolume(std::string_view id) {
  agent::v1::FindVolumeRequest request;
  request.set_id(std::string(id));
  ASSIGN_OR_RETURN(const auto response,
                   Call(&agent::v1::Storage::Stub::FindVolume, request, limits_.ask));
  if (!response.has_volume()) return std::nullopt;
  return FromWire(response.volume());
}

absl::StatusOr<std::vector<ListedVolume>> RemoteEngine::ListVolumes(std::string_view after,
                                                                    uint64_t limit) {
  const auto ask = [this](const std::string& last,
                          uint64_t wanted) -> absl::StatusOr<std::vector<ListedVolume>> {
    agent::v1::ListVolumesRequest request;
    request.set_after(last);
    request.set_limit(wanted);
    ASSIGN_OR_RETURN(const auto response,
                     Call(&agent::v1::Storage::Stub::ListVolumes, request, limits_.ask));
    return ItemsFromWire<ListedVolume>(response.volumes());
  };
  return InPages<ListedVolume>(after, limit, ask);
}

absl::StatusOr<std::vector<RefusedVolume>> RemoteEngine::RefusedVolumes() {
  ASSIGN_OR_RETURN(const auto response, Call(&agent::v1::Storage::Stub::ListRefusedVolumes,
                                             agent::v1::ListRefusedVolumesRequest(), limits_.ask));
  std::vector<RefusedVolume> volumes;
  for (const agent::v1::RefusedVolume& wire : response.volumes()) {
    volumes.push_back({wire.id(), {wire.labels().begin(), wire.labels().end()}, wire.sentence()});
  }
  return volumes;
}

absl::StatusOr<Snapshot> RemoteEngine::CreateSnapshot(const std::string& name,
                                                      std::string_view volume_id) {
  agent::v1::CreateSnapshotRequest request;
  request.set_name(name);
  request.set_volume_id(std::string(volume_id));
  ASSIGN_OR_RETURN(const auto response,
                   Call(&agent::v1::Storage::Stub::CreateSnapshot, request, limits_.change));
  return FromWire(response.snapshot());
}

absl::Status RemoteEngine::DeleteSnapshot(std::string_view id) {
  agent::v1::DeleteSnapshotRequest request;
  request.set_id(std::string(id));
  return Call(&agent::v1::Storage::Stub::DeleteSnapshot, request, limits_.change).status();
}

absl::StatusOr<std::optional<Snapshot>> RemoteEngine::FindSnapshot(std::string_view id) {
  agent::v1::FindSnapshotRequest request;
  request.set_id(std::string(id));
  ASSIGN_OR_RETURN(const auto response,
                   Call(&agent::v1::Storage::Stub::FindSnapshot, request, limits_.ask));
  if (!response.has_snapshot()) return std::nullopt;
  return FromWire(response.snapshot());
}

absl::StatusOr<std::vector<Snapshot>> RemoteEngine::ListSnapshots(const SnapshotFilter& filter,
                                                                  std::string_view after,
                                                                  uint64_t limit) {
  const auto ask = [&](const std::string& last,
                       uint64_t wanted) -> absl::StatusOr<std::vector<Snapshot>> {
    agent::v1::ListSnapshotsRequest request;
    if (filter.id) request.set_id(*filter.id);
    if (filter.volume_id) request.set_volume_id(*filter.volume_id);
    request.set_after(last);
    request.set_limit(wanted);
    ASSIGN_OR_RETURN(const auto response,
                     Call(&agent::v1::Storage::Stub::ListSnapshots, request, limits_.ask));
    return ItemsFromWire<Snapshot>(response.snapshots());
  };
  return InPages<Snapshot>(after, limit, ask);
}

std::vector<PoolStatus> RemoteEngine::ListPools(bool brief) {
  agent::v1::ListPoolsRequest request;
  request.set_brief(brief);
  auto pools = [&]() -> absl::StatusOr<std::vector<PoolStatus>> {
    ASSIGN_OR_RETURN(const auto response,
                     Call(&agent::v1::Storage::Stub::ListPools, request, limits_.ask));
    return ItemsFromWire<PoolStatus>(response.pools());
  }();
  if (pools.ok()) return *std::move(pools);
  PoolStatus unknown;
  unknown.refusal = std::string(pools.status().message());
  return {unknown};
}

absl::StatusOr<CapacityAnswer> RemoteEngine::GetCapacity(const ClassParameters& parameters,
                                                         std::optional<Content> content) {
  agent::v1::GetCapacityRequest request;
  *request.mutable_parameters() = ToWire(parameters);
  request.set_content(ToWire(content));
  ASSIGN_OR_RETURN(const auto response,
                   Call(&agent::v1::Storage::Stub::GetCapacity, request, limits_.ask));
  return CapacityAnswer{.available_bytes = response.available_bytes(),
                        .maximum_volume_bytes = response.maximum_volume_bytes(),
                        .minimum_volume_bytes = response.minimum_volume_bytes()};
}

}  // namespace holdfast
