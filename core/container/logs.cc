#include "core/api/stream_pipe.h"
#include "core/container/log_text.h"
#include "core/container/manager_impl.h"
#include "core/io/json_log.h"

namespace pouch {

using container::SeenContainer;
namespace state = container::state;

namespace {

/// One log stream: a thread of ours reads the file, the pipe's consumer sets the pace.
struct LogPump {
  std::unique_ptr<io::JsonLogReader> reader;
  std::shared_ptr<StreamPipe> pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  bool timestamps = false;
  bool details = false;

  Status run() {
    while (true) {
      POUCH_ASSIGN_OR_RETURN(const std::optional<io::LogLine> line, reader->next(Deadline::never()));
      if (!line) return {};
      const Channel channel = line->stream == io::LogStream::kStderr ? Channel::kStderr : Channel::kStdout;
      POUCH_RETURN_IF_ERROR(pipe->push(channel, container::log_record(*line, timestamps, details)));
    }
  }
};

}  // namespace

Result<StreamPtr> ContainerManager::Impl::logs(const std::string& reference,
                                               const api::ContainerLogsOptions& options) {
  POUCH_ASSIGN_OR_RETURN(const SeenContainer seen, see(reference));
  POUCH_ASSIGN_OR_RETURN(io::JsonLogQuery query, container::log_query(options));
  if (seen.row.log_path.empty()) {
    return not_implemented("configured logging driver does not support reading");
  }
  const auto pump = std::make_shared<LogPump>();
  pump->timestamps = options.timestamps.value_or(false);
  pump->details = options.details.value_or(false);
  // What does not run has no more to write.
  const bool live = seen.row.is_running() || seen.row.state == state::kStarting;
  query.follow = query.follow && live;
  POUCH_ASSIGN_OR_RETURN(pump->reader, io::JsonLogReader::open(seen.row.log_path, query));
  auto follower = std::make_shared<events::Follower>();
  if (query.follow) {
    // The death is told after the output was drained into the log.
    *follower = context.events->follow(seen.seq, [pump, id = seen.row.id.str()](const events::Event& event) {
      if (event.type != "container" || event.actor_id != id) return;
      if (event.action == "die" || event.action == "destroy") pump->reader->set_stopped();
    });
  }
  StreamPtr stream = pump->pipe->open();
  pump->pipe->on_cancel([pump] { pump->reader->cancel(); });
  const int closer = closers->add([pump] {
    pump->pipe->finish(Status(Code::kClosed, "the engine was closed while a log was read"));
    pump->reader->cancel();
  });
  streams->submit([pump, follower, closer, all = closers, held = inflight.enter()] {
    const Status status = pump->run();
    follower->cancel();
    all->remove(closer);
    pump->pipe->on_cancel([] {});  // it holds the pump
    pump->pipe->finish(status.is_ok() ? Result<std::string>(std::string()) : Result<std::string>(status));
  });
  return stream;
}

}  // namespace pouch
