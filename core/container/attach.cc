#include "core/api/detach_keys.h"
#include "core/container/attach_pump.h"
#include "core/container/log_text.h"
#include "core/container/manager_impl.h"
#include "core/container/validation.h"
#include "core/io/json_log.h"

namespace pouch {

using container::AttachPump;
using container::SeenContainer;
namespace state = container::state;

namespace {

constexpr int64_t kStepMs = 30'000;

io::AttachSpec attach_spec(const api::ContainerAttachOptions& options, const api::ContainerConfig& config) {
  io::AttachSpec spec;
  spec.want_stdin = options.stdin.value_or(false) && config.open_stdin.value_or(false);
  spec.want_stdout = options.stdout.value_or(false);
  spec.want_stderr = options.stderr.value_or(false);
  spec.can_resume = true;
  spec.client = io::random_client();
  return spec;
}

// What was written so far; the attach has begun already, so that nothing is missing between.
Status push_log(StreamPipe& pipe, const std::string& path, const api::ContainerAttachOptions& options) {
  if (path.empty()) return {};
  io::JsonLogQuery query;
  query.want_stdout = options.stdout.value_or(false);
  query.want_stderr = options.stderr.value_or(false);
  POUCH_ASSIGN_OR_RETURN(const auto reader, io::JsonLogReader::open(path, query));
  while (true) {
    POUCH_ASSIGN_OR_RETURN(std::optional<io::LogLine> line, reader->next(Deadline::never()));
    if (!line) return {};
    const Channel channel = line->stream == io::LogStream::kStderr ? Channel::kStderr : Channel::kStdout;
    POUCH_RETURN_IF_ERROR(pipe.wait_for_room(Deadline::never()));
    POUCH_RETURN_IF_ERROR(pipe.push(channel, std::move(line->text)));
  }
}

}  // namespace

Result<StreamPtr> ContainerManager::Impl::attach(const std::string& reference,
                                                 const api::ContainerAttachOptions& options,
                                                 const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const SeenContainer seen, see(reference));
  if (seen.row.paused) {
    return conflict("container " + reference + " is paused, unpause the container before attach");
  }
  if (seen.row.state == state::kRemoving || seen.row.state == state::kDead) {
    return conflict("container " + reference + " is marked for removal");
  }
  POUCH_ASSIGN_OR_RETURN(const api::ContainerConfig config, seen.row.config());
  POUCH_ASSIGN_OR_RETURN(std::string keys, parse_detach_keys(options.detach_keys.value_or("")));
  const io::AttachSpec spec = attach_spec(options, config);
  const bool terminal = config.tty.value_or(false);
  const ContainerId id = seen.row.id;
  const bool was_running = seen.row.is_running();
  using Position = std::optional<io::AttachPosition>;
  const auto connect = [this, id, spec](Deadline deadline,
                                        const Position& at) -> Result<std::unique_ptr<io::AttachConnection>> {
    Call own;
    own.deadline = deadline;
    io::AttachSpec placed = spec;
    placed.resume = at;
    POUCH_ASSIGN_OR_RETURN(const auto keeper, context.keeper(own));
    return keeper->attach(id.str(), placed, deadline);
  };
  // After a restart of the keeper's worker. Of a run that the keeper knows it tells, too, whether it has
  // ended; else nothing more is to come where it has ended meanwhile.
  const auto again = [this, id, connect, was_running, generation = seen.row.generation](
                         const Position& at) -> Result<std::unique_ptr<io::AttachConnection>> {
    if (at && at->generation != 0) return connect(Deadline::after_ms(kStepMs), at);
    POUCH_ASSIGN_OR_RETURN(const auto row, load(id));
    const bool ended =
        !row || (row->state == state::kExited && (was_running || row->generation > generation));
    if (ended) return std::unique_ptr<io::AttachConnection>();
    return connect(Deadline::after_ms(kStepMs), at);
  };
  using Connected = Result<std::unique_ptr<io::AttachConnection>>;
  const bool live = options.stream.value_or(false);
  std::shared_ptr<AttachPump> pump;
  if (live) {
    POUCH_ASSIGN_OR_RETURN(auto connection, detached<Connected>(call, [connect] {
                             return connect(Deadline::after_ms(kStepMs), std::nullopt);
                           }));
    std::optional<DetachKeys> wanted;
    if (terminal) wanted.emplace(std::move(keys));
    pump = std::make_shared<AttachPump>(std::move(connection), again, std::move(wanted));
    if (terminal) {
      pump->pipe()->on_resize([this, id](uint32_t rows, uint32_t columns) {
        return resize(id.str(), rows, columns, own_call(kStepMs));
      });
    }
    tell(seen.row, "attach");
  }
  return start_attach(pump, seen, options, spec);
}

Result<StreamPtr> ContainerManager::Impl::start_attach(const std::shared_ptr<AttachPump>& pump,
                                                       const SeenContainer& seen,
                                                       const api::ContainerAttachOptions& options,
                                                       const io::AttachSpec& spec) {
  const auto pipe = pump ? pump->pipe() : std::make_shared<StreamPipe>(QueuePolicy::kLag);
  StreamPtr stream = pipe->open();
  const auto stop = [weak = std::weak_ptr(pump)] {
    if (const auto alive = weak.lock()) alive->stop();
  };
  pipe->on_cancel(stop);
  const auto follower = std::make_shared<events::Follower>();
  if (pump) {
    *follower = context.events->follow(seen.seq, [stop, id = seen.row.id.str()](const events::Event& event) {
      if (event.type == "container" && event.actor_id == id && event.action == "destroy") stop();
    });
  }
  const int closer = closers->add([stop, pipe] {
    pipe->finish(Status(Code::kClosed, "the engine was closed while a container was attached to"));
    stop();  // after the last word, or the pump says that all is well
  });
  streams->submit([=, this, all = closers, held = inflight.enter(), with_log = options.logs.value_or(false),
                   path = seen.row.log_path] {
    Status status;
    if (with_log) status = push_log(*pipe, path, options);
    if (status.is_ok() && pump) {
      const auto end = pump->pump_output();
      // Stopped by us: removed, or nobody reads any more.
      status = end.is_ok() ? container::status_of_end(*end) : end.status();
      if (status.code() == Code::kClosed) status = Status();
    }
    follower->cancel();
    all->remove(closer);
    api::AttachEnd end;
    if (pump && pump->is_detached()) {
      end.detached = true;
      tell(seen.row, "detach");
    }
    pipe->finish(status.is_ok() ? Result<std::string>(api::to_json_text(end)) : Result<std::string>(status));
  });
  if (pump && spec.want_stdin) {
    streams->submit([pump, held = inflight.enter()] { pump->pump_input(); });
  }
  return stream;
}

}  // namespace pouch
