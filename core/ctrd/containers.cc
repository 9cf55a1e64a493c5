#include "core/ctrd/containers.h"

#include "containers.pb.h"
#include "core/ctrd/convert.h"
#include "core/ctrd/transport.h"

namespace pouch::ctrd {
namespace {

namespace pb = containerd::services::containers::v1;

Result<ContainerRecord> record_from(const pb::Container& message) {
  ContainerRecord record;
  record.id = ContainerId(message.id());
  record.labels = labels_from(message.labels());
  record.image = message.image();
  record.runtime_name = message.runtime().name();
  if (message.runtime().options().type_url() == kRuncOptionsType) {
    containerd::runc::v1::Options options;
    if (!options.ParseFromString(message.runtime().options().value())) {
      return Status(Code::kDataLoss,
                    "containerd: runtime options of container " + message.id() + " are damaged");
    }
    record.runtime_options = runc_options_from(options);
  }
  record.spec_json = message.spec().value();
  record.snapshotter = message.snapshotter();
  record.snapshot_key = message.snapshot_key();
  record.created_at = timestamp_from(message.created_at());
  record.updated_at = timestamp_from(message.updated_at());
  return record;
}

}  // namespace

Status Containers::create(const Call& call, const ContainerRecord& record) const {
  pb::CreateContainerRequest request;
  pb::Container& message = *request.mutable_container();
  message.set_id(record.id.str());
  fill_labels(record.labels, *message.mutable_labels());
  message.set_image(record.image);
  message.mutable_runtime()->set_name(record.runtime_name);
  if (record.runtime_options) fill(*record.runtime_options, *message.mutable_runtime()->mutable_options());
  message.mutable_spec()->set_type_url(kSpecType);
  message.mutable_spec()->set_value(record.spec_json);
  message.set_snapshotter(record.snapshotter);
  message.set_snapshot_key(record.snapshot_key);
  const Rpc rpc{.path = "/containerd.services.containers.v1.Containers/Create",
                .name = "containers.create",
                .object = record.id.str()};
  return transport().unary(call, rpc, request);
}

Result<ContainerRecord> Containers::get(const Call& call, const ContainerId& id) const {
  pb::GetContainerRequest request;
  request.set_id(id.str());
  pb::GetContainerResponse response;
  const Rpc rpc{.path = "/containerd.services.containers.v1.Containers/Get",
                .name = "containers.get",
                .object = id.str()};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  return record_from(response.container());
}

Result<std::vector<ContainerRecord>> Containers::list(const Call& call, const Filters& filters) const {
  pb::ListContainersRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  pb::ListContainersResponse response;
  const Rpc rpc{.path = "/containerd.services.containers.v1.Containers/List", .name = "containers.list"};
  POUCH_RETURN_IF_ERROR(transport().unary(call, rpc, request, response));
  std::vector<ContainerRecord> records;
  for (const pb::Container& message : response.containers()) {
    POUCH_ASSIGN_OR_RETURN(ContainerRecord record, record_from(message));
    records.push_back(std::move(record));
  }
  return records;
}

Status Containers::update_labels(const Call& call, const ContainerId& id, const Labels& labels) const {
  pb::UpdateContainerRequest request;
  request.mutable_container()->set_id(id.str());
  fill_labels(labels, *request.mutable_container()->mutable_labels());
  mask_labels(labels, *request.mutable_update_mask());
  if (labels.empty()) return {};  // an empty mask would replace the whole record
  const Rpc rpc{.path = "/containerd.services.containers.v1.Containers/Update",
                .name = "containers.update",
                .object = id.str()};
  return transport().unary(call, rpc, request);
}

Status Containers::update_spec(const Call& call, const ContainerId& id, const std::string& spec_json) const {
  pb::UpdateContainerRequest request;
  request.mutable_container()->set_id(id.str());
  request.mutable_container()->mutable_spec()->set_type_url(kSpecType);
  request.mutable_container()->mutable_spec()->set_value(spec_json);
  request.mutable_update_mask()->add_paths("spec");
  const Rpc rpc{.path = "/containerd.services.containers.v1.Containers/Update",
                .name = "containers.update",
                .object = id.str()};
  return transport().unary(call, rpc, request);
}

Status Containers::remove(const Call& call, const ContainerId& id) const {
  pb::DeleteContainerRequest request;
  request.set_id(id.str());
  const Rpc rpc{.path = "/containerd.services.containers.v1.Containers/Delete",
                .name = "containers.delete",
                .object = id.str()};
  return transport().unary(call, rpc, request);
}

}  // namespace pouch::ctrd
