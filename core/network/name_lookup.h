#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/id.h"
#include "core/base/status.h"
#include "core/store/database.h"

// What names mean to a container in networks of users. Functions that take a session work in it and make no
// transaction.

namespace pouch::network {

/// What a container asks its name server.
struct NameQuestion {
  std::string sandbox;     ///< sandbox_key()
  std::string name;        ///< without a dot at its end; "" for what is no name of a container
  std::string address;     ///< instead: whose is it?
  bool is_address = true;  ///< the name's addresses are asked for
};

struct NameAnswer {
  enum class Kind : uint8_t {
    kKnown,    ///< items: addresses of either family, or names; none: it exists, and has nothing of the kind
    kForward,  ///< others may know; items: the servers to ask
    kFailed,   ///< nobody may be asked
  };
  Kind kind = Kind::kFailed;
  std::vector<std::string> items;
};

/// A running container, and the networks in which names are known to it.
struct Asker {
  struct Place {
    std::string network_id;
    std::string network_name;
    std::vector<std::pair<std::string, std::string>> links;  ///< alias → container
  };
  ContainerId id;
  std::vector<Place> places;              ///< by the networks' names
  std::vector<std::string> name_servers;  ///< to ask for what is no container's, as its networks' plugins say
  bool has_way_out = false;               ///< one of its networks is not internal
};

/// nullopt when that run is over.
Result<std::optional<Asker>> find_asker(store::Session& session, const std::string& sandbox,
                                        const std::string& boot);
/// nullopt when no container is called so. A name a.b.c is that, or a.b in the network c, or a in b.c.
Result<std::optional<std::vector<std::string>>> addresses_of(store::Session& session, const Asker& asker,
                                                             const std::string& name,
                                                             const std::string& boot);
/// "container.network"; nullopt when it is nobody's in these networks.
Result<std::optional<std::string>> name_of(store::Session& session, const Asker& asker,
                                           const std::string& address, const std::string& boot);
/// sandbox_key() of every run that is in a network of users.
Result<std::vector<std::string>> sandboxes_with_names(store::Session& session, const std::string& boot);

/// "name:alias", "/name:/other/alias" or "name": container and alias.
std::pair<std::string, std::string> parse_link(const std::string& text);

/// The servers of a resolv.conf(5), zones of addresses as numbers.
std::vector<std::string> name_servers_in(std::string_view resolv_conf);
/// Whether options ask for a search before a name of one label is asked for as it is.
bool wants_dots(const std::vector<std::string>& options);

}  // namespace pouch::network
