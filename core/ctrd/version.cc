#include "core/ctrd/version.h"

#include "core/ctrd/transport.h"
#include "version.pb.h"
#include "wire.pb.h"

namespace pouch::ctrd {

Result<VersionInfo> VersionService::get(const Call& call) const {
  containerd::services::version::v1::VersionResponse response;
  const Rpc rpc{.path = "/containerd.services.version.v1.Version/Version", .name = "version.get"};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, wire::Empty(), response));
  return VersionInfo{.version = response.version(), .revision = response.revision()};
}

}  // namespace pouch::ctrd
