#include "core/ctrd/diff.h"

#include "core/ctrd/convert.h"
#include "core/ctrd/transport.h"
#include "diff.pb.h"

namespace pouch::ctrd {

namespace pb = containerd::services::diff::v1;

Result<Descriptor> Diff::apply(const Call& call, const Descriptor& layer,
                               const std::vector<Mount>& mounts) const {
  pb::ApplyRequest request;
  fill(layer, *request.mutable_diff());
  fill_mounts(mounts, *request.mutable_mounts());
  pb::ApplyResponse response;
  const Rpc rpc{.path = "/containerd.services.diff.v1.Diff/Apply",
                .name = "diff.apply",
                .object = layer.digest.str(),
                .default_ms = 0};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return descriptor_from(response.applied());
}

Result<Descriptor> Diff::diff(const Call& call, const std::vector<Mount>& left,
                              const std::vector<Mount>& right, const DiffOptions& options) const {
  pb::DiffRequest request;
  fill_mounts(left, *request.mutable_left());
  fill_mounts(right, *request.mutable_right());
  request.set_media_type(options.media_type);
  request.set_ref(options.ref);
  fill_labels(options.labels, *request.mutable_labels());
  pb::DiffResponse response;
  const Rpc rpc{.path = "/containerd.services.diff.v1.Diff/Diff",
                .name = "diff.diff",
                .object = options.ref,
                .default_ms = 0};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return descriptor_from(response.diff());
}

}  // namespace pouch::ctrd
