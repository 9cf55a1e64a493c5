#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/base/unique_fd.h"
#include "core/io/stdio.h"

namespace pouch::io {

struct StreamInfo {
  std::string stream_id;
  std::string container_id;
  int64_t generation = 0;
};

struct KeeperStatus {
  std::string version;   ///< of the program
  int protocol = 0;      ///< version of the wire protocol
  int worker_pid = 0;    ///< changes when the worker is restarted
  int keeper_pid = 0;    ///< the supervisor
  uint64_t clients = 0;  ///< connections, this one included
  std::string features;  ///< names of what it can do, blanks between
  std::vector<StreamInfo> streams;
};

/// One attached client. One thread may read while another writes; shutdown() from any thread wakes both.
/// Destroying it detaches; when it had asked for stdin and the stream is stdin_once, that closes the
/// process's stdin.
class AttachConnection {
 public:
  /// `position`: of a client whose keeper can resume; where it stands so far.
  /// `input_taken`: see below.
  explicit AttachConnection(UniqueFd fd, const std::string& first_bytes = {},
                            const std::optional<AttachPosition>& position = std::nullopt,
                            std::optional<uint64_t> input_taken = std::nullopt);
  ~AttachConnection();
  AttachConnection(const AttachConnection&) = delete;
  AttachConnection& operator=(const AttachConnection&) = delete;

  /// The next kStdout, kStderr, kEnd or, for AttachSpec::client, kInputTaken frame. After kEnd: Closed.
  /// DeadlineExceeded when none came in time (nothing is lost; call again). Unavailable when the keeper's
  /// worker died: attach again, with position().
  Result<Frame> read_frame(Deadline deadline);
  /// For AttachSpec::resume, by the frames read so far. nullopt when the keeper is too old for that, or it
  /// was not asked for: the log has what is missed then. Reading thread only.
  const std::optional<AttachPosition>& position() const { return position_; }
  /// How much of its input the process's pipe had of an AttachSpec::client when this connection began: it
  /// goes on behind that. nullopt: nobody knows, or the keeper is too old for that.
  std::optional<uint64_t> input_taken() const { return input_taken_; }
  /// True when read_frame would return without waiting for fd().
  bool has_buffered_frame() const;
  /// Sends all of `data`; waits while the process does not read (back-pressure).
  Status write_stdin(std::string_view data, Deadline deadline);
  /// Half-close: no more stdin from this client.
  Status close_stdin(Deadline deadline);
  /// Leaves without closing the process's stdin (Docker's detach keys).
  Status detach(Deadline deadline);
  /// For poll(2), readable; see has_buffered_frame().
  int fd() const { return fd_.get(); }
  void shutdown();

 private:
  void note_frame(const Frame& frame);
  Status send_frame(FrameType type, std::string_view data, Deadline deadline);

  UniqueFd fd_;
  std::unique_ptr<class MessageReader> inbox_;  // reader only
  bool ended_ = false;                          // reader only
  std::optional<AttachPosition> position_;      // reader only
  const std::optional<uint64_t> input_taken_;
  std::mutex write_mutex_;
};

/// A client of the keeper of one root. Thread-safe; calls run side by side, each on a connection of its own
/// taken from a small pool. The keeper stays while a client lives. Every call is safe to repeat and repeats
/// itself once when the worker was restarted under it.
class KeeperClient {
 public:
  /// Unavailable when no keeper answers there; NotImplemented when its protocol is unknown to us.
  static Result<std::unique_ptr<KeeperClient>> connect(const std::string& run_dir, Deadline deadline);
  ~KeeperClient();
  KeeperClient(const KeeperClient&) = delete;
  KeeperClient& operator=(const KeeperClient&) = delete;

  Status ping(Deadline deadline);
  Result<KeeperStatus> status(Deadline deadline);
  /// True when the worker that this client is connected to has ended, false when `stop_fd` is readable first.
  /// Of a client that was just connected, and is asked for nothing else.
  bool wait_end(int stop_fd);

  /// Makes the FIFOs and opens the keeper's ends; call before Tasks.Create (Tasks.Exec). Clients that
  /// attached before are served from the first byte. For a stream already open: same generation, the same
  /// answer; an older one is drained first; Conflict when the open one is newer.
  Result<StdioPaths> open_stdio(const StdioSpec& spec, Deadline deadline);
  /// Call after Tasks.Start succeeded: from now on the runtime has opened stdin, so a close of it can be
  /// passed on (a close that came before is passed on now).
  Status mark_started(const std::string& stream_id, Deadline deadline);
  /// The process has exited: reads what is left (to end of file, at most 2 s), finishes the log, ends
  /// attached clients with kExited, removes the FIFOs. Ok with was_open = false when the stream is not there.
  /// With `generation` not 0 only that generation is drained.
  Result<DrainCounts> drain(const std::string& stream_id, Deadline deadline, int64_t generation = 0);
  /// Create or start failed: attached and waiting clients get kFailed with `reason`; FIFOs go.
  /// With `generation` not 0 only that generation.
  Status discard(const std::string& stream_id, const std::string& reason, Deadline deadline,
                 int64_t generation = 0);
  /// Ends clients that wait for a stream which is not open (the container was removed) with kRemoved.
  Status close_waiters(const std::string& stream_id, Deadline deadline);
  /// Subscribes; may come before open_stdio. When this returns Ok the subscription is registered. With
  /// `spec.resume` the output goes on at that position, each byte once; where that cannot be, kEnd with
  /// kMissed comes.
  Result<std::unique_ptr<AttachConnection>> attach(const std::string& stream_id, const AttachSpec& spec,
                                                   Deadline deadline);
  /// Closes the process's stdin, whoever is attached.
  Status close_stdin(const std::string& stream_id, Deadline deadline);
  /// Holds ports of the host for `id`, a run that publishes them, so that nobody else gets them: exactly
  /// these, from now until release_ports(). NotImplemented when the keeper is too old for that.
  Result<HoldAnswer> hold_ports(const std::string& id, const std::vector<HeldPort>& ports, Deadline deadline);
  /// Ok when there are none.
  Status release_ports(const std::string& id, Deadline deadline);
  /// The sandbox (a pin in <run_dir>/netns) has a name server when this returns, until the pin is gone.
  /// NotImplemented when the keeper is too old for that.
  Status serve_names(const std::string& sandbox, Deadline deadline);
  /// Asks the keeper to end; Conflict while streams are open, unless `force` (they can be adopted again
  /// later).
  Status shutdown(bool force, Deadline deadline);

 private:
  explicit KeeperClient(std::string run_dir) : run_dir_(std::move(run_dir)) {}
  Result<UniqueFd> new_connection(Deadline deadline);
  UniqueFd take_idle();
  void give_back(UniqueFd connection);
  using Fields = std::map<std::string, std::string>;
  Result<Fields> call(uint8_t op, const Fields& fields, Deadline deadline);

  const std::string run_dir_;
  std::mutex mutex_;
  std::vector<UniqueFd> idle_;  // protected by mutex_
};

/// For AttachSpec::client.
uint64_t random_client();

/// The path of the root's own copy of pouch-keeper, made where it is missing: what runs is a copy, so that a
/// package or virtual environment that is removed meanwhile does not matter. `program` as in KeeperLaunch.
Result<std::string> keeper_copy(const std::string& root_dir, const std::string& program);

struct KeeperLaunch {
  std::string root_dir;  ///< the program is copied to <root_dir>/bin/<build id>/ and run from there
  std::string run_dir;   ///< sockets and FIFOs; made 0700 when absent
  std::string program;   ///< pouch-keeper; "": $POUCH_KEEPER_PATH, beside libpouch, libexec, PATH, …
  std::string cgroup;  ///< of sys::root_cgroup: the keeper goes to <cgroup>/keeper; "": it stays where it is
  int64_t idle_exit_ms = 10'000;   ///< the keeper ends that long after its last stream and client are gone
  std::string log_level = "info";  ///< what its log is to hold
  std::vector<std::string> extra_args;  ///< passed on, for what the worker's engine needs
};

/// The program that would be launched. NotFound lists what was tried.
Result<std::string> find_keeper_program(const std::string& option);

/// Connects to the root's keeper, launching one (detached from this process in every way) when there is none.
/// Safe against other threads and processes doing the same.
Result<std::unique_ptr<KeeperClient>> ensure_keeper(const KeeperLaunch& launch, Deadline deadline);

}  // namespace pouch::io
