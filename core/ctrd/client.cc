#include "core/ctrd/client.h"

#include <utility>

#include "core/base/executor.h"
#include "core/base/text.h"
#include "core/ctrd/containers.h"
#include "core/ctrd/content.h"
#include "core/ctrd/diff.h"
#include "core/ctrd/images.h"
#include "core/ctrd/introspection.h"
#include "core/ctrd/leases.h"
#include "core/ctrd/namespaces.h"
#include "core/ctrd/snapshots.h"
#include "core/ctrd/tasks.h"
#include "core/ctrd/transport.h"
#include "core/ctrd/version.h"
#include "health.pb.h"

namespace pouch::ctrd {
namespace {

namespace health = grpc::health::v1;

constexpr int64_t kConnectMs = 10'000;
constexpr int64_t kRetryMs = 10;

}  // namespace

struct Client::Impl {
  explicit Impl(std::shared_ptr<Transport> t)
      : transport(std::move(t)),
        containers(transport),
        tasks(transport),
        content(transport),
        snapshots(transport),
        diff(transport),
        images(transport),
        leases(transport),
        namespaces(transport),
        introspection(transport),
        version(transport) {}

  std::shared_ptr<Transport> transport;
  Containers containers;
  Tasks tasks;
  Content content;
  Snapshots snapshots;
  Diff diff;
  Images images;
  Leases leases;
  Namespaces namespaces;
  Introspection introspection;
  VersionService version;
};

Client::Client(std::shared_ptr<Transport> transport) : impl_(std::make_unique<Impl>(std::move(transport))) {}

Client::~Client() = default;

Result<std::shared_ptr<Client>> Client::connect(const std::string& socket_path, const std::string& ns,
                                                Deadline deadline) {
  if (ns.empty()) return invalid_argument("containerd: the namespace must not be empty");
  const Deadline limit = deadline.is_never() ? Deadline::after_ms(kConnectMs) : deadline;
  const Call call{.deadline = limit, .cancel = nullptr, .request_id = {}};
  auto client = std::make_shared<Client>(std::make_shared<Transport>(socket_path, ns));
  while (true) {
    const Status status = client->ping(call);
    if (status.is_ok()) return client;
    // Unavailable: nobody listens yet; NotImplemented: it listens but its services are not yet there.
    const bool may_pass = status.code() == Code::kUnavailable || status.code() == Code::kNotImplemented;
    if (!may_pass || limit.has_passed()) return status;
    if (!pause(call, kRetryMs).is_ok()) return status;  // the reason rather than "deadline"
  }
}

std::shared_ptr<Client> Client::with_lease(const std::string& lease_id) const {
  return std::make_shared<Client>(impl_->transport->with(ns(), lease_id));
}

std::shared_ptr<Client> Client::with_namespace(const std::string& ns) const {
  return std::make_shared<Client>(impl_->transport->with(ns, ""));
}

const std::string& Client::ns() const {
  return impl_->transport->ns();
}

const std::string& Client::lease_id() const {
  return impl_->transport->lease_id();
}

const std::string& Client::socket_path() const {
  return impl_->transport->socket_path();
}

Status Client::ping(const Call& call) const {
  health::HealthCheckResponse response;
  const Rpc rpc{.path = "/grpc.health.v1.Health/Check", .name = "health.check"};
  POUCH_RETURN_IF_ERROR(impl_->transport->unary(call, rpc, health::HealthCheckRequest(), response));
  if (response.status() == health::HealthCheckResponse::SERVING) return {};
  return unavailable("containerd: " + quote(socket_path()) + " is not yet serving");
}

Containers& Client::containers() const {
  return impl_->containers;
}

Tasks& Client::tasks() const {
  return impl_->tasks;
}

Content& Client::content() const {
  return impl_->content;
}

Snapshots& Client::snapshots() const {
  return impl_->snapshots;
}

Diff& Client::diff() const {
  return impl_->diff;
}

Images& Client::images() const {
  return impl_->images;
}

Leases& Client::leases() const {
  return impl_->leases;
}

Namespaces& Client::namespaces() const {
  return impl_->namespaces;
}

Introspection& Client::introspection() const {
  return impl_->introspection;
}

VersionService& Client::version() const {
  return impl_->version;
}

const std::shared_ptr<Transport>& Client::transport() const {
  return impl_->transport;
}

}  // namespace pouch::ctrd
