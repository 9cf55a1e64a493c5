#include "core/ctrd/convert.h"

#include <limits>

namespace pouch::ctrd {

Timestamp timestamp_from(const wire::Timestamp& message) {
  constexpr int64_t kNsPerSecond = 1'000'000'000;
  constexpr int64_t kMaxSeconds = std::numeric_limits<int64_t>::max() / kNsPerSecond - 1;
  const int64_t seconds = message.seconds();
  if (seconds == 0 && message.nanos() == 0) return {};
  if (seconds > kMaxSeconds || seconds < -kMaxSeconds) return {};  // Go's zero time is -62135596800
  return {.ns = seconds * kNsPerSecond + message.nanos()};
}

Mount mount_from(const containerd::types::Mount& message) {
  return {.type = message.type(),
          .source = message.source(),
          .target = message.target(),
          .options = {message.options().begin(), message.options().end()}};
}

void fill(const Mount& mount, containerd::types::Mount& message) {
  message.set_type(mount.type);
  message.set_source(mount.source);
  message.set_target(mount.target);
  for (const std::string& option : mount.options) message.add_options(option);
}

Descriptor descriptor_from(const containerd::types::Descriptor& message) {
  return {.media_type = message.media_type(),
          .digest = Digest(message.digest()),
          .size = message.size(),
          .annotations = labels_from(message.annotations())};
}

void fill(const Descriptor& descriptor, containerd::types::Descriptor& message) {
  message.set_media_type(descriptor.media_type);
  message.set_digest(descriptor.digest.str());
  message.set_size(descriptor.size);
  fill_labels(descriptor.annotations, *message.mutable_annotations());
}

void fill(const RuncOptions& options, wire::Any& message) {
  containerd::runc::v1::Options out;
  out.set_binary_name(options.binary_name);
  out.set_root(options.root);
  out.set_systemd_cgroup(options.systemd_cgroup);
  out.set_no_pivot_root(options.no_pivot_root);
  out.set_no_new_keyring(options.no_new_keyring);
  out.set_shim_cgroup(options.shim_cgroup);
  out.set_io_uid(options.io_uid);
  out.set_io_gid(options.io_gid);
  message.set_type_url(kRuncOptionsType);
  message.set_value(out.SerializeAsString());
}

RuncOptions runc_options_from(const containerd::runc::v1::Options& message) {
  return {.binary_name = message.binary_name(),
          .root = message.root(),
          .systemd_cgroup = message.systemd_cgroup(),
          .no_pivot_root = message.no_pivot_root(),
          .no_new_keyring = message.no_new_keyring(),
          .shim_cgroup = message.shim_cgroup(),
          .io_uid = message.io_uid(),
          .io_gid = message.io_gid()};
}

}  // namespace pouch::ctrd
