#include "core/store/schema.h"

#include <array>

namespace pouch::store {
namespace {

// Times are ns since the epoch (UTC), NULL for "never". *_json columns hold documents of core/api's types.
// owner_token names the engine that is working on the row (EngineContext::owner_token), NULL when none is.
// boot_id is the kernel's boot in which boot-scoped columns (pid, running states) were written.
constexpr const char* kFirst = R"sql(
CREATE TABLE root (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE images (
  id            TEXT PRIMARY KEY,          -- digest of the config
  config_json   TEXT NOT NULL,             -- the OCI image config as it is
  manifest      TEXT NOT NULL DEFAULT '',  -- digest of the manifest in containerd's content store
  manifest_type TEXT NOT NULL DEFAULT '',  -- its media type
  manifest_size INTEGER NOT NULL DEFAULT 0,  -- its bytes
  chain_id      TEXT NOT NULL DEFAULT '',  -- top committed snapshot; '' without layers
  snapshotter   TEXT NOT NULL DEFAULT '',
  size          INTEGER NOT NULL DEFAULT 0,  -- bytes of the layers unpacked
  architecture  TEXT NOT NULL DEFAULT '',
  os            TEXT NOT NULL DEFAULT '',
  created_ns    INTEGER,                   -- as the config says
  added_ns      INTEGER
);

CREATE TABLE image_references (
  reference   TEXT PRIMARY KEY,            -- normalised: docker.io/library/busybox:latest
  image_id    TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
  digest      TEXT NOT NULL DEFAULT '',    -- of the manifest, for name@digest
  tagged_ns   INTEGER
) WITHOUT ROWID;
CREATE INDEX image_references_by_image ON image_references(image_id);

CREATE TABLE image_layers (
  image_id  TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
  position  INTEGER NOT NULL,              -- 0 is the lowest
  chain_id  TEXT NOT NULL,                 -- committed snapshot
  blob      TEXT NOT NULL,                 -- digest in the content store, compressed or not
  size      INTEGER NOT NULL,              -- bytes of this layer unpacked
  PRIMARY KEY (image_id, position)
) WITHOUT ROWID;
CREATE INDEX image_layers_by_chain ON image_layers(chain_id);

CREATE TABLE containers (
  id                TEXT PRIMARY KEY,      -- 64 hex digits
  name              TEXT UNIQUE,           -- without slash; NULL once the name was given up in a removal
  state             TEXT NOT NULL,         -- creating created starting running exited removing dead
  stopping          INTEGER NOT NULL DEFAULT 0,
  paused            INTEGER NOT NULL DEFAULT 0,
  generation        INTEGER NOT NULL DEFAULT 0,  -- counts the starts
  owner_token       TEXT,
  boot_id           TEXT NOT NULL DEFAULT '',
  config_json       TEXT NOT NULL,
  host_config_json  TEXT NOT NULL,
  extra_json        TEXT NOT NULL DEFAULT '{}',  -- what the container manager decided at create
  image_ref         TEXT NOT NULL DEFAULT '',    -- as given
  image_id          TEXT NOT NULL DEFAULT '',
  snapshotter       TEXT NOT NULL DEFAULT '',
  snapshot_key      TEXT NOT NULL DEFAULT '',
  runtime           TEXT NOT NULL DEFAULT '',
  log_path          TEXT NOT NULL DEFAULT '',
  auto_remove       INTEGER NOT NULL DEFAULT 0,
  pid               INTEGER NOT NULL DEFAULT 0,
  exit_code         INTEGER NOT NULL DEFAULT 0,
  error             TEXT NOT NULL DEFAULT '',
  oom_killed        INTEGER NOT NULL DEFAULT 0,
  restart_count     INTEGER NOT NULL DEFAULT 0,
  created_ns        INTEGER NOT NULL,
  started_ns        INTEGER,
  finished_ns       INTEGER
);
CREATE INDEX containers_by_image ON containers(image_id);
CREATE INDEX containers_by_state ON containers(state);

CREATE TABLE execs (
  id            TEXT PRIMARY KEY,
  container_id  TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
  generation    INTEGER NOT NULL,          -- of the container's start that it belongs to
  state         TEXT NOT NULL,             -- created starting running exited
  owner_token   TEXT,
  boot_id       TEXT NOT NULL DEFAULT '',
  config_json   TEXT NOT NULL,
  pid           INTEGER NOT NULL DEFAULT 0,
  exit_code     INTEGER,
  error         TEXT NOT NULL DEFAULT '',
  created_ns    INTEGER NOT NULL,
  started_ns    INTEGER,
  finished_ns   INTEGER
);
CREATE INDEX execs_by_container ON execs(container_id);

-- seq stays gapless: the newest row is never deleted, and a rolled back one was never there.
CREATE TABLE events (
  seq              INTEGER PRIMARY KEY,
  time_ns          INTEGER NOT NULL,
  type             TEXT NOT NULL,
  action           TEXT NOT NULL,
  actor_id         TEXT NOT NULL,
  attributes_json  TEXT NOT NULL,
  scope            TEXT NOT NULL
);

-- What was made outside the database, or is about to be, so that it can be finished or undone.
CREATE TABLE intents (
  kind         TEXT NOT NULL,
  key          TEXT NOT NULL,
  owner_token  TEXT,
  data_json    TEXT NOT NULL DEFAULT '{}',
  created_ns   INTEGER NOT NULL,
  PRIMARY KEY (kind, key)
) WITHOUT ROWID;
)sql";

// Sessions: what a client made goes with it. The triggers also serve builds that know no sessions.
constexpr const char* kSessions = R"sql(
CREATE TABLE sessions (
  id          TEXT PRIMARY KEY,            -- <root>/sessions/<id> is locked while it lives
  created_ns  INTEGER NOT NULL,
  ended_ns    INTEGER                      -- set: nothing may be added, what it made is being removed
) WITHOUT ROWID;

CREATE TABLE session_objects (
  kind     TEXT NOT NULL,                  -- container exec image reference
  key      TEXT NOT NULL,                  -- its primary key
  session  TEXT NOT NULL,
  PRIMARY KEY (kind, key, session)
) WITHOUT ROWID;
CREATE INDEX session_objects_by_session ON session_objects(session);

-- 1: only sessions have made it, and it goes with the last of them.
ALTER TABLE images ADD COLUMN of_sessions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE image_references ADD COLUMN of_sessions INTEGER NOT NULL DEFAULT 0;

CREATE TRIGGER session_container_gone AFTER DELETE ON containers BEGIN
  DELETE FROM session_objects WHERE kind = 'container' AND key = OLD.id;
END;
CREATE TRIGGER session_exec_gone AFTER DELETE ON execs BEGIN
  DELETE FROM session_objects WHERE kind = 'exec' AND key = OLD.id;
END;
CREATE TRIGGER session_image_gone AFTER DELETE ON images BEGIN
  DELETE FROM session_objects WHERE kind = 'image' AND key = OLD.id;
END;
CREATE TRIGGER session_reference_gone AFTER DELETE ON image_references BEGIN
  DELETE FROM session_objects WHERE kind = 'reference' AND key = OLD.reference;
END;
)sql";

// Networks, and containers' places in them.
constexpr const char* kNetworks = R"sql(
CREATE TABLE networks (
  id          TEXT PRIMARY KEY,            -- 64 hex digits
  name        TEXT NOT NULL UNIQUE,
  driver      TEXT NOT NULL,
  options_json TEXT NOT NULL DEFAULT '{}', -- the driver's, with Docker's names
  labels_json TEXT NOT NULL DEFAULT '{}',
  device      TEXT NOT NULL DEFAULT '',    -- its link in the host's namespace
  up_boot     TEXT NOT NULL DEFAULT '',    -- the boot in which it was brought up; '' while it is down
  created_ns  INTEGER NOT NULL
);

CREATE TABLE network_pools (
  network_id    TEXT NOT NULL REFERENCES networks(id) ON DELETE CASCADE,
  position      INTEGER NOT NULL,
  subnet        TEXT NOT NULL,             -- 10.192.0.0/22
  gateway       TEXT NOT NULL,
  last_address  TEXT NOT NULL DEFAULT '',  -- handed out last; the next one is looked for behind it
  PRIMARY KEY (network_id, position)
) WITHOUT ROWID;

-- A container's place in a network. What follows settings_json is of its run, and empty while there is none.
CREATE TABLE endpoints (
  network_id     TEXT NOT NULL REFERENCES networks(id),
  container_id   TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
  settings_json  TEXT NOT NULL DEFAULT '{}',  -- as asked for
  endpoint_id    TEXT NOT NULL DEFAULT '',    -- 64 hex digits
  generation     INTEGER NOT NULL DEFAULT 0,
  boot_id        TEXT NOT NULL DEFAULT '',
  mac            TEXT NOT NULL DEFAULT '',
  address        TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (network_id, container_id)
) WITHOUT ROWID;
CREATE INDEX endpoints_by_container ON endpoints(container_id);
-- However many processes hand them out.
CREATE UNIQUE INDEX endpoints_by_address ON endpoints(network_id, address) WHERE address <> '';
)sql";

// Networks that users make, and several of them per container.
constexpr const char* kUserNetworks = R"sql(
-- '' it is there; creating, removing: the intent of kind network says who is at it
ALTER TABLE networks ADD COLUMN state TEXT NOT NULL DEFAULT '';
ALTER TABLE networks ADD COLUMN internal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE networks ADD COLUMN attachable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE networks ADD COLUMN ipv4 INTEGER NOT NULL DEFAULT 1;
ALTER TABLE networks ADD COLUMN ipv6 INTEGER NOT NULL DEFAULT 0;
ALTER TABLE networks ADD COLUMN ipam_options_json TEXT NOT NULL DEFAULT '';  -- '' none were given

ALTER TABLE network_pools ADD COLUMN chosen INTEGER NOT NULL DEFAULT 1;       -- by the engine, not by the user
ALTER TABLE network_pools ADD COLUMN ip_range TEXT NOT NULL DEFAULT '';      -- '' is all of the subnet
ALTER TABLE network_pools ADD COLUMN aux_json TEXT NOT NULL DEFAULT '{}';    -- addresses of others by name

ALTER TABLE endpoints ADD COLUMN address6 TEXT NOT NULL DEFAULT '';          -- of its run, as address
ALTER TABLE endpoints ADD COLUMN link TEXT NOT NULL DEFAULT '';              -- of its run: its name in the container
-- '' it is there; joining, leaving: a change in a running container; the intent of kind endpoint says who is at it
ALTER TABLE endpoints ADD COLUMN state TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX endpoints_by_address6 ON endpoints(network_id, address6) WHERE address6 <> '';

-- Under which names a container is known in a network, for whoever resolves them.
CREATE TABLE endpoint_names (
  network_id    TEXT NOT NULL,
  name          TEXT NOT NULL COLLATE NOCASE,
  container_id  TEXT NOT NULL,
  position      INTEGER NOT NULL,          -- in DNSNames
  is_own        INTEGER NOT NULL DEFAULT 0,  -- the container's name, which changes with it
  PRIMARY KEY (network_id, name, container_id),
  FOREIGN KEY (network_id, container_id) REFERENCES endpoints(network_id, container_id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX endpoint_names_by_container ON endpoint_names(container_id);
CREATE TRIGGER endpoint_renamed AFTER UPDATE OF name ON containers WHEN NEW.name IS NOT NULL BEGIN
  UPDATE OR REPLACE endpoint_names SET name = NEW.name WHERE container_id = NEW.id AND is_own = 1;
END;

CREATE TRIGGER session_network_gone AFTER DELETE ON networks BEGIN
  DELETE FROM session_objects WHERE kind = 'network' AND key = OLD.id;
END;
)sql";

// Ports of the host that lead to containers. A row goes when nothing is left of it outside: socket and rule.
// It is of a run; once that has ended whoever comes removes it.
constexpr const char* kPorts = R"sql(
CREATE TABLE published_ports (
  protocol      TEXT NOT NULL,             -- tcp udp sctp
  host_port     INTEGER NOT NULL,
  host_address  TEXT NOT NULL,             -- 0.0.0.0 or :: for all
  container_id  TEXT NOT NULL,             -- whose row may be gone before
  generation    INTEGER NOT NULL,
  boot_id       TEXT NOT NULL,
  address       TEXT NOT NULL,             -- of the container
  port          INTEGER NOT NULL,
  PRIMARY KEY (protocol, host_port, host_address)
) WITHOUT ROWID;
CREATE INDEX published_ports_by_container ON published_ports(container_id);
)sql";

// Volumes, and what containers mount beside what their HostConfig tells.
constexpr const char* kVolumes = R"sql(
CREATE TABLE volumes (
  name         TEXT PRIMARY KEY,
  driver       TEXT NOT NULL,
  options_json TEXT NOT NULL DEFAULT '',   -- the driver's, as they were given; '' none were
  labels_json  TEXT NOT NULL DEFAULT '',   -- '' none were given
  is_anonymous INTEGER NOT NULL DEFAULT 0,
  -- '' it is there; creating, removing: owner_token is at it; dropping: as removing, but its end was told
  state        TEXT NOT NULL DEFAULT '',
  owner_token  TEXT NOT NULL DEFAULT '',
  created_ns   INTEGER NOT NULL
) WITHOUT ROWID;

-- Volumes, images, and what VolumesFrom brings. Binds and tmpfs of its own are in host_config_json.
CREATE TABLE container_mounts (
  container_id  TEXT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
  destination   TEXT NOT NULL,
  position      INTEGER NOT NULL,
  volume        TEXT REFERENCES volumes(name),   -- NULL: it is no volume
  driver        TEXT NOT NULL DEFAULT '',        -- the volume's
  mode          TEXT NOT NULL DEFAULT '',        -- as given with -v
  image_id      TEXT NOT NULL DEFAULT '',        -- of a mount of an image
  mount_json    TEXT NOT NULL,                   -- as one of HostConfig.Mounts
  ends_volume   INTEGER NOT NULL DEFAULT 0,      -- the volume goes with the container
  PRIMARY KEY (container_id, destination)
) WITHOUT ROWID;
CREATE INDEX container_mounts_by_volume ON container_mounts(volume) WHERE volume IS NOT NULL;

CREATE TRIGGER session_volume_gone AFTER DELETE ON volumes BEGIN
  DELETE FROM session_objects WHERE kind = 'volume' AND key = OLD.name;
END;
)sql";

// Networks in which plugins have a part, and those that others are made of. What plugins have made for an
// endpoint is an intent of kind attachment.
constexpr const char* kNetworkPlugins = R"sql(
ALTER TABLE networks ADD COLUMN config_only INTEGER NOT NULL DEFAULT 0;
ALTER TABLE networks ADD COLUMN config_from TEXT NOT NULL DEFAULT '';   -- a network's name
ALTER TABLE networks ADD COLUMN ipam_driver TEXT NOT NULL DEFAULT '';   -- '' the engine's own
ALTER TABLE network_pools ADD COLUMN pool_id TEXT NOT NULL DEFAULT '';  -- the IPAM plugin's name for it
ALTER TABLE endpoints ADD COLUMN plugin_json TEXT NOT NULL DEFAULT '';  -- of its run: what a plugin decided
)sql";

#ifdef POUCH_TEST_NEXT_FORMAT
// What a coming version may do, for tests of the versions' living together (core/store/CMakeLists.txt).
constexpr const char* kNext = R"sql(
CREATE TABLE next_things (
  container_id  TEXT PRIMARY KEY REFERENCES containers(id) ON DELETE CASCADE,
  note          TEXT NOT NULL
) WITHOUT ROWID;
ALTER TABLE containers ADD COLUMN next_note TEXT NOT NULL DEFAULT 'none';
ALTER TABLE images ADD COLUMN next_note TEXT;
CREATE TRIGGER next_container AFTER INSERT ON containers BEGIN
  INSERT INTO next_things(container_id, note) VALUES(NEW.id, NEW.next_note);
END;
)sql";
#endif

constexpr std::array kMigrations = {
    Migration{.to_format = 2, .min_reader = 0, .min_writer = 0, .sql = kSessions},
    Migration{.to_format = 3, .min_reader = 0, .min_writer = 0, .sql = kNetworks},
    Migration{.to_format = 4, .min_reader = 0, .min_writer = 0, .sql = kUserNetworks},
    Migration{.to_format = 5, .min_reader = 0, .min_writer = 0, .sql = kPorts},
    Migration{.to_format = 6, .min_reader = 0, .min_writer = 0, .sql = kVolumes},
    Migration{.to_format = 7, .min_reader = 0, .min_writer = 0, .sql = kNetworkPlugins},
#ifdef POUCH_TEST_NEXT_FORMAT
    Migration{.to_format = 8, .min_reader = 0, .min_writer = POUCH_TEST_NEXT_FORMAT, .sql = kNext},
#endif
};

}  // namespace

const Schema& our_schema() {
  static constexpr Schema kOurs{kFirst, kMigrations};
  return kOurs;
}

}  // namespace pouch::store
