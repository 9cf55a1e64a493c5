#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/cancel.h"
#include "core/base/status.h"
#include "core/cni/attachment.h"
#include "core/cni/network_list.h"
#include "core/cni/outcome.h"

// The Container Network Interface, as a runtime speaks it (cni.dev, versions 0.1.0 to 1.1.0): a network is a
// list of plugins, programs that get their orders in the environment and on stdin, and answer on stdout.
//
//   cni::Runtime runtime({"/opt/cni/bin", "/usr/lib/cni"}, "/var/lib/cni/results");
//   POUCH_ASSIGN_OR_RETURN(const cni::NetworkList list, cni::find_list("/etc/cni/net.d", "web"));
//   const cni::Attachment link = {.container_id = id, .netns = "/run/netns/x", .ifname = "eth0"};
//   POUCH_ASSIGN_OR_RETURN(const cni::Outcome outcome, runtime.add(list, link, call));
//   … outcome.container_ips() …
//   POUCH_RETURN_IF_ERROR(runtime.del("web", link, call));

namespace pouch::cni {

class Plugins;
class Cache;

/// Calls plugins, and keeps what they answered for the calls that come later.
///
/// Thread-safe. It holds no lock while a plugin runs: the caller sees to it that at most one call at a time
/// is about an attachment. Every call ends at its deadline or with its cancel token, and kills the plugin
/// then.
///
/// Errors of a plugin read "PLUGIN: its message: its details". Their code is Unavailable for "try again
/// later" and "not ready" (CNI's 11, 50, 51), InvalidArgument for 4, 6 and 7, NotImplemented for 1 and 2,
/// NotFound for 3, else Internal. Plugins that are not there are NotFound.
class Runtime {
 public:
  /// Cheap to make. Plugins are looked for in the folders in turn, which are absolute paths. The cache folder
  /// is that of libcni's format
  /// ("/var/lib/cni/results" is what other runtimes use); it is made, 0700, when it is needed.
  Runtime(std::vector<std::string> plugin_folders, std::string cache_folder);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// Attaches the container: ADD of each plugin in order. When one fails, DEL of all in reverse (with 30 s of
  /// its own, whatever the call's deadline) before the answer. The cache has an entry before the first plugin
  /// runs, so that what a killed process began is found by cached(), and ended by del() or gc().
  /// AlreadyExists while there is an entry, complete or not: CNI wants a DEL between two ADDs.
  Result<Outcome> add(const NetworkList& list, const Attachment& attachment, const Call& call);

  /// Detaches it: DEL of each plugin in reverse, with the list and the result that the cache has, and the
  /// arguments and capabilities that the cache has where the attachment's are empty. Ok when the cache knows
  /// nothing of it. After an error the entry is still there, so that it can be tried again.
  Status del(const std::string& network, const Attachment& attachment, const Call& call);
  /// The same where the cache may have been lost: the plugins are called with this list then, without a
  /// result.
  Status del(const NetworkList& list, const Attachment& attachment, const Call& call);

  /// Whether all is still as ADD left it. Ok without a look where the list forbids it, or is older than
  /// 0.4.0. NotFound when the cache has no result.
  Status check(const NetworkList& list, const Attachment& attachment, const Call& call);

  /// Ends what is not valid any more: DEL of the network's other attachments in the cache; then, from 1.1.0
  /// on, GC of every plugin. Goes on after errors and answers the first. Does nothing where the list forbids
  /// it. Attachments whose ADD is under way are valid: they are in the cache.
  Status gc(const NetworkList& list, const std::vector<AttachmentKey>& valid, const Call& call);

  /// Whether an ADD would do: every plugin is there and, from 1.1.0 on, says that it is ready. Unavailable
  /// with its words when not.
  Status status(const NetworkList& list, const Call& call);

  /// The network's attachments in the cache, "" of all networks. Files that are no entries are passed over.
  Result<std::vector<CachedAttachment>> cached(const std::string& network) const;

 private:
  Status add_each(const NetworkList& list, const Attachment& attachment, const Call& call, Outcome& outcome,
                  bool& has_begun) const;
  Status del_known(const std::string& network, const NetworkList* given, const Attachment& attachment,
                   const Call& call) const;
  void undo(const NetworkList& list, const Attachment& attachment, const Outcome& outcome) const;
  Status end_invalid(const std::string& network, const std::vector<AttachmentKey>& valid, const Call& call);

  const std::unique_ptr<Plugins> plugins_;
  const std::unique_ptr<Cache> cache_;
};

}  // namespace pouch::cni
