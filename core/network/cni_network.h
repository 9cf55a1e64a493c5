#pragma once

#include <string>
#include <vector>

#include "core/api/network.gen.h"
#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/container/container_networks.h"
#include "core/network/attachments.h"
#include "core/network/endpoints.h"
#include "core/network/plugged.h"
#include "core/network/records.h"

// Networks of the driver "cni": what a list of CNI plugins makes (core/cni).

namespace pouch::network {

/// Where a network's list and its plugins are, by its driver options.
struct CniPlace {
  std::string list;     ///< `cni.list`: a path, or a name in `folder`; the network's name when none is given
  std::string folder;   ///< `cni.conf_dir`: /etc/cni/net.d
  std::string plugins;  ///< `cni.bin_dir`: folders with colons between; /opt/cni/bin:/usr/lib/cni
  std::string name;     ///< what the list calls itself; "" before it is read
  bool is_own = false;  ///< `cni.gc`: nobody but this root uses the list, and what it does not know may go
};

/// InvalidArgument for an option that is none.
Result<CniPlace> cni_place(const NetworkRow& row);
/// For Attachment::cni, once the list is read.
Result<Texts> cni_texts(const NetworkRow& row);

/// Whether such a network can be: its list is read, its plugins are there and ready (STATUS).
Status check_cni(const NetworkRow& row, const std::string& root_dir, const Call& call);

/// Whether the list has a plugin that publishes ports.
Result<bool> can_publish(const NetworkRow& row);

/// What the plugins are told beside: what of it no plugin takes is NotImplemented.
struct CniWishes {
  api::EndpointSettings asked;
  std::vector<PublishedPort> ports;
};

/// ADD. What the plugins chose is written into `endpoint` and `facts`.
Status add_cni(const NetworkRow& row, const Attachment& attachment, const CniWishes& wishes,
               const std::string& root_dir, EndpointRow& endpoint, PluginFacts& facts, const Call& call);
/// DEL, also of what was begun only.
Status remove_cni(const Attachment& attachment, const std::string& root_dir, const Call& call);

/// CHECK: whether all is as ADD left it. Ok where the list forbids the question, or is too old for it.
Status check_attachment(const Attachment& attachment, const std::string& root_dir, const Call& call);
/// GC, of a list that is this root's alone: the plugins end what they have beside `valid`, which is all that
/// the root knows of.
Status collect_cni(const NetworkRow& row, const std::vector<Attachment>& valid, const std::string& root_dir,
                   const Call& call);

}  // namespace pouch::network
