#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/base/status.h"

namespace pouch::io {

/// Where a stream's output is kept. `driver` "" and "none" keep nothing.
struct LogSpec {
  std::string driver;                        ///< "json-file", "none" or ""
  std::string path;                          ///< absolute path of the log file; its folder exists
  int64_t max_size = -1;                     ///< bytes after which the file is rotated; -1: never
  int max_file = 1;                          ///< files kept in all, the current one included
  std::map<std::string, std::string> attrs;  ///< written with every line ("attrs"), sorted by key
};

/// One process's stdio. `stream_id` is chosen by the caller and stable over the container's starts (the
/// container id, or the exec id): attach may come before open_stdio and waits under that name. Allowed in
/// ids: letters, digits, '.', '_', '-', at most 128.
struct StdioSpec {
  std::string stream_id;
  std::string container_id;
  int64_t generation = 0;   ///< the container's start counter; a newer one replaces what an older one left
  bool want_stdin = false;  ///< OpenStdin: a stdin FIFO is made, and kept open until closed
  bool stdin_once = false;  ///< the first stdin client that leaves closes the process's stdin
  bool tty = false;         ///< one output stream (stdout); no stderr FIFO
  LogSpec log;
};

/// A port of the host that a container has.
struct HeldPort {
  std::string protocol;  ///< "tcp", "udp", "sctp"
  std::string address;   ///< of the host; "0.0.0.0" or "::" for all
  uint16_t port = 0;
  /// Of the container, for what comes to the socket in spite of the firewall's rules; "" where nothing can.
  std::string target_address;
  uint16_t target_port = 0;
};

/// Whether ports could be had.
struct HoldAnswer {
  int taken = -1;  ///< the first that could not, by its number in the list; -1: all are held
  Status why;      ///< Conflict: somebody else has it; InvalidArgument: the address is none of the host's
};

/// Paths for Tasks.Create; "" for a stream that does not exist.
struct StdioPaths {
  std::string stdin_path;
  std::string stdout_path;
  std::string stderr_path;
};

/// So many bytes of each stream.
struct OutputCounts {
  uint64_t stdout_bytes = 0;
  uint64_t stderr_bytes = 0;
};

/// What drain() saw.
struct DrainCounts {
  uint64_t stdout_bytes = 0;
  uint64_t stderr_bytes = 0;
  bool reached_eof = true;   ///< false: another process held the pipe open past the grace and was cut off
  bool log_complete = true;  ///< false: some output could not be written to the log (disk full, …)
  bool was_open = true;      ///< false: the stream was not there (drained before)
};

/// Where a client stands in the output of one run.
struct AttachPosition {
  int64_t generation = 0;  ///< 0: the run has not begun; it waits for it
  OutputCounts output;     ///< since the run's beginning, whether it was sent to this client or came before
  uint64_t client = 0;     ///< under which the keeper knows it
};

struct AttachSpec {
  bool want_stdin = false;
  bool want_stdout = true;
  bool want_stderr = true;
  bool can_resume = false;  ///< should the worker die, the client comes back at once
  /// Of one that can resume, chosen by it at random: tells it from others over the deaths of workers, and has
  /// its input counted (kInputTaken). 0: none.
  uint64_t client = 0;
  std::optional<AttachPosition> resume = std::nullopt;  ///< it is back, and has had all before that
};

/// Frames of an attach connection: {u8 type, u32 length little endian, bytes}.
enum class FrameType : uint8_t {
  kStdin = 1,       ///< client → keeper
  kStdinClose = 2,  ///< client → keeper, no bytes
  kStdout = 3,      ///< keeper → client
  kStderr = 4,      ///< keeper → client
  kEnd = 5,         ///< keeper → client, the last frame
  kDetach = 6,      ///< client → keeper, no bytes: it leaves, and its stdin is not to be closed for that
  kOrigin =
      7,  ///< keeper → client that can resume: its position (encode_origin), before the output from there on
  kInputTaken =
      8,  ///< keeper → client with a number: how many bytes of its stdin the process's pipe has, in all
};

enum class EndReason {
  kExited,    ///< the process ended and all its output was sent
  kFailed,    ///< create or start failed; `message` says why
  kLagged,    ///< this client stopped reading for seconds while output piled up; the log goes on at
              ///< `log_position`
  kRemoved,   ///< the container was removed while this client waited for its start
  kShutdown,  ///< the keeper was told to stop
  kMissed,    ///< this client is back after the worker's death, and what it missed is no longer in the log
};

struct Frame {
  FrameType type = FrameType::kEnd;
  std::string data;          ///< bytes of kStdout and kStderr
  uint64_t input_taken = 0;  ///< of kInputTaken
  // Of kEnd:
  EndReason reason = EndReason::kExited;
  std::string message;
  int64_t log_position = -1;  ///< byte offset in the current log file, -1 when there is no log
};

}  // namespace pouch::io
