// Asking the running server, through its local socket.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "ctl.h"
#include "proto/admin/admin.grpc.pb.h"

namespace holdfast::ctl {

using AdminStub = admin::v1::Admin::Stub;

// One call; what the server refused, with its code. NOT_FOUND in one sentence when no server
// answers there (IsNoServer tells it from the server's own).
absl::Status CallStub(const std::string& socket,
                      const std::function<grpc::Status(AdminStub&, grpc::ClientContext*)>& call);

template <typename Call, typename Answer>
absl::Status CallServer(const Request& request,
                        grpc::Status (AdminStub::*method)(grpc::ClientContext*, const Call&,
                                                          Answer*),
                        const Call& call, Answer& answer) {
  return CallStub(request.admin_socket, [&](AdminStub& stub, grpc::ClientContext* context) {
    return (stub.*method)(context, call, &answer);
  });
}

bool IsNoServer(const absl::Status& status);

}  // namespace holdfast::ctl
