#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/api/detach_keys.h"
#include "core/api/engine.gen.h"
#include "core/api/stream_pipe.h"
#include "core/base/clock.h"
#include "core/mock/mock_process.h"

namespace pouch::mock {

struct Image {
  std::string id;
  std::vector<std::string> references;  ///< "busybox:latest"
  api::ImageConfig config;
  std::string architecture;
  Timestamp created;
};

struct LogRecord {
  Channel channel;
  Timestamp time;
  std::string bytes;
};

struct Attached {
  std::shared_ptr<StreamPipe> pipe;
  bool out = false;
  bool err = false;
};

/// A process and those who listen to it: of a container or of an exec.
struct Running {
  std::shared_ptr<MockProcess> process;  ///< shared with who writes to it without the lock
  std::vector<Attached> attached;
  bool running = false;
  bool started = false;
  int exit_code = 0;
};

struct Container {
  std::string id;
  std::string name;
  std::string image_id;
  api::ContainerConfig config;
  api::HostConfig host;
  std::vector<std::string> args;
  Timestamp created;
  Timestamp started;
  Timestamp finished;
  std::string error;
  Running main;
  /// Networks beside that of its NetworkMode, and what was asked of any.
  std::map<std::string, api::EndpointSettings> endpoints;
  std::map<std::string, std::vector<api::PortBinding>> ports;  ///< of its last start, by "80/tcp"
  std::vector<api::MountPoint> mounts;                         ///< of volumes
  std::set<std::string> own_volumes;  ///< without a name of their own: they go with it when asked
  bool has_left = false;              ///< it was disconnected from that of its NetworkMode
  uint64_t generation = 0;            ///< counts starts
  bool removed = false;
  std::vector<LogRecord> logs;
};

struct Exec {
  std::string id;
  std::shared_ptr<Container> container;
  api::ExecConfig config;
  Running main;
};

/// What a client writes to a process. Held by the thread that moves it.
struct Input {
  std::shared_ptr<StreamPipe> pipe;
  std::shared_ptr<void> owner;  ///< of `running`
  Running& running;
  bool close_at_end = false;  ///< the process's input ends with the client's
  std::optional<DetachKeys> keys;
  std::function<std::string()> on_detach;  ///< with the lock held; the stream's result
};

/// All there is, under one lock. Processes call back on their own threads.
struct State {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, Image> images;                           ///< by id
  std::map<std::string, std::shared_ptr<Container>> containers;  ///< by id
  std::map<std::string, std::shared_ptr<Exec>> execs;            ///< by id
  std::map<std::string, api::Network> networks;                  ///< by id
  std::map<std::string, api::Volume> volumes;                    ///< by name
  std::vector<api::EventMessage> events;
  std::set<std::string> sessions;  ///< open ones
  /// Who has made what: sessions, or "" for everybody else, by "<kind> <key>". What nobody has made any more
  /// is removed.
  std::map<std::string, std::set<std::string>> makers;
  std::set<std::string> wrong;  ///< seeded wrong behaviours (tests of the tests)
  bool closing = false;

  bool is_wrong(const std::string& behaviour) const { return wrong.contains(behaviour); }
  /// The rest with the lock held.
  Result<std::shared_ptr<Container>> find_container(const std::string& id) const;
  Result<Image*> find_image(const std::string& name);
  void ensure_networks();  ///< the predefined ones
  Result<api::Network*> find_network(const std::string& reference);
  void remove_network(const std::string& id);
  /// The one of that name, made where there is none.
  Result<api::Volume*> ensure_volume(const api::VolumeCreateConfig& config, const std::string& session);
  std::vector<std::string> users_of_volume(const std::string& name) const;
  void remove_volume(const std::string& name);
  /// Its volumes, as asked for; those that are missing are made.
  Status add_volumes(Container& container, const std::string& session);
  /// The container is gone; with it its own volumes, where `own`.
  void drop_volumes(const Container& container, bool own);
  /// Without the lock held. Conflict when it does not run.
  Status resize(Running& of, int64_t rows, int64_t columns, const std::string& name);
  /// Closed when there is no such session; fine for "".
  Status check_session(const std::string& session) const;
  void add_maker(const std::string& kind, const std::string& key, const std::string& session);
  /// Forgets the session and gives what of a kind only it has made.
  std::vector<std::string> take_from(const std::string& session, const std::string& kind);
  void add_event(const std::string& type, const std::string& action, const std::string& id,
                 std::map<std::string, std::string> attributes);
  void add_container_event(const Container& container, const std::string& action,
                           std::map<std::string, std::string> more = {});
};

bool is_predefined_network(const std::string& name);
/// "bridge" in place of its other names.
std::string network_mode(const api::HostConfig& host);
bool has_own_links(const std::string& mode);
/// By the networks' names; made-up addresses, of the container's id: the same each time that they are asked
/// for.
std::map<std::string, api::EndpointSettings> endpoints_of(const Container& container);

/// The size that the document asks for, where there is a terminal.
std::optional<TerminalSize> terminal_of(const std::optional<bool>& tty,
                                        const std::optional<std::vector<uint64_t>>& size);
/// Of resize operations.
Status check_size(int64_t rows, int64_t columns);

/// Whether an option `platform` (JSON; absent or empty: any) is the mock's, linux/amd64. InvalidArgument.
Result<bool> is_own_platform(const std::optional<std::string>& text);

/// The name of a new image, if it gets one. InvalidArgument.
Result<std::vector<std::string>> new_names(const std::optional<std::string>& repo,
                                           const std::optional<std::string>& tag);
/// What `config` leaves out is `base`'s: command, environment, labels.
void merge(api::ContainerConfig& config, const api::ContainerConfig& base);
api::ImageConfig image_config_of(const api::ContainerConfig& config);

/// "busybox" -> "busybox:latest".
std::string with_tag(const std::string& reference);

using PortMap = std::map<std::string, api::Nullable<std::vector<api::PortBinding>>>;
/// InvalidArgument for what is no port.
Status check_ports(const api::HostConfig& host);
/// Gives a container that starts the ports that it asks for. Conflict: a running one has one of them.
Status publish_ports(const State& state, Container& container);
/// What it exposes and publishes while it runs.
PortMap shown_ports(const Container& container);
std::vector<api::PortSummary> summarised_ports(const Container& container);

}  // namespace pouch::mock
