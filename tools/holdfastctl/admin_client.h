// Asking the running server, through its local socket.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "ctl.h"
#include "grpcpp/channel.h"
#include "proto/admin/admin.grpc.pb.h"
#include "proto/admin/cluster.grpc.pb.h"

namespace holdfast::ctl {

using AdminStub = admin::v1::Admin::Stub;
using ClusterStub = admin::v1::Cluster::Stub;

// One call; what the server refused, with its code. NOT_FOUND in one sentence when no server
// answers there (IsNoServer tells it from the server's own).
using Channel = std::shared_ptr<grpc::Channel>;
absl::Status CallOver(
    const std::string& socket,
    const std::function<grpc::Status(const Channel&, grpc::ClientContext*)>& call);

template <typename Stub, typename Call, typename Answer>
absl::Status CallServer(const Request& request,
                        grpc::Status (Stub::*method)(grpc::ClientContext*, const Call&, Answer*),
                        const Call& call, Answer& answer) {
  return CallOver(request.admin_socket, [&](const Channel& channel, grpc::ClientContext* context) {
    Stub stub(channel);
    return (stub.*method)(context, call, &answer);
  });
}

bool IsNoServer(const absl::Status& status);

}  // namespace holdfast::ctl
