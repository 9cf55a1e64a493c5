#pragma once

#include <string>
#include <vector>

#include "core/ctrd/types.h"
#include "runc_options.pb.h"
#include "types.pb.h"
#include "wire.pb.h"

/// Between containerd's messages and our structs.
namespace pouch::ctrd {

/// Zero for Go's zero time, for an unset message and for what int64 nanoseconds cannot hold.
Timestamp timestamp_from(const wire::Timestamp& message);
Mount mount_from(const containerd::types::Mount& message);
void fill(const Mount& mount, containerd::types::Mount& message);
Descriptor descriptor_from(const containerd::types::Descriptor& message);
void fill(const Descriptor& descriptor, containerd::types::Descriptor& message);
/// An Any with the bare type name that containerd compares.
void fill(const RuncOptions& options, wire::Any& message);
RuncOptions runc_options_from(const containerd::runc::v1::Options& message);

constexpr const char* kRuncOptionsType = "containerd.runc.v1.Options";
// JSON, not protobuf, inside the Any.
constexpr const char* kSpecType = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
constexpr const char* kProcessType = "types.containerd.io/opencontainers/runtime-spec/1/Process";

/// Protobuf's map into ours and back.
template <class ProtoMap>
Labels labels_from(const ProtoMap& map) {
  return Labels(map.begin(), map.end());
}
template <class ProtoMap>
void fill_labels(const Labels& labels, ProtoMap& map) {
  for (const auto& [key, value] : labels) map[key] = value;
}
/// "labels.<key>" for each: only these are touched.
inline void mask_labels(const Labels& labels, wire::FieldMask& mask) {
  for (const auto& [key, value] : labels) mask.add_paths("labels." + key);
}
template <class Repeated>
std::vector<Mount> mounts_from(const Repeated& messages) {
  std::vector<Mount> mounts;
  for (const auto& message : messages) mounts.push_back(mount_from(message));
  return mounts;
}
template <class Repeated>
void fill_mounts(const std::vector<Mount>& mounts, Repeated& messages) {
  for (const Mount& mount : mounts) fill(mount, *messages.Add());
}

}  // namespace pouch::ctrd
