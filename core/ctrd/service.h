#pragma once

#include <memory>
#include <utility>

namespace pouch::ctrd {

class Transport;

/// What the service classes share: a connection bound to a namespace and perhaps a lease.
class Service {
 public:
  explicit Service(std::shared_ptr<Transport> transport) : transport_(std::move(transport)) {}
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

 protected:
  ~Service() = default;
  Transport& transport() const { return *transport_; }
  const std::shared_ptr<Transport>& shared_transport() const { return transport_; }

 private:
  std::shared_ptr<Transport> transport_;
};

}  // namespace pouch::ctrd
