#include "core/ctrd/namespaces.h"

#include "core/ctrd/convert.h"
#include "core/ctrd/transport.h"
#include "namespaces.pb.h"

namespace pouch::ctrd {

namespace pb = containerd::services::namespaces::v1;

Result<NamespaceInfo> Namespaces::get(const Call& call, const std::string& name) const {
  pb::GetNamespaceRequest request;
  request.set_name(name);
  pb::GetNamespaceResponse response;
  const Rpc rpc{
      .path = "/containerd.services.namespaces.v1.Namespaces/Get", .name = "namespaces.get", .object = name};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return NamespaceInfo{.name = response.namespace_().name(),
                       .labels = labels_from(response.namespace_().labels())};
}

Result<std::vector<NamespaceInfo>> Namespaces::list(const Call& call) const {
  pb::ListNamespacesResponse response;
  const Rpc rpc{.path = "/containerd.services.namespaces.v1.Namespaces/List", .name = "namespaces.list"};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, pb::ListNamespacesRequest(), response));
  std::vector<NamespaceInfo> infos;
  for (const pb::Namespace& message : response.namespaces()) {
    infos.push_back({.name = message.name(), .labels = labels_from(message.labels())});
  }
  return infos;
}

Status Namespaces::create(const Call& call, const std::string& name, const Labels& labels) const {
  pb::CreateNamespaceRequest request;
  request.mutable_namespace_()->set_name(name);
  fill_labels(labels, *request.mutable_namespace_()->mutable_labels());
  const Rpc rpc{.path = "/containerd.services.namespaces.v1.Namespaces/Create",
                .name = "namespaces.create",
                .object = name};
  return transport().unary(call, rpc, request);
}

Status Namespaces::remove(const Call& call, const std::string& name) const {
  pb::DeleteNamespaceRequest request;
  request.set_name(name);
  const Rpc rpc{.path = "/containerd.services.namespaces.v1.Namespaces/Delete",
                .name = "namespaces.delete",
                .object = name};
  return transport().unary(call, rpc, request);
}

}  // namespace pouch::ctrd
