#include "core/container/exec_run.h"

#include <chrono>

#include "core/api/exec.gen.h"
#include "core/base/number.h"
#include "core/base/text.h"

namespace pouch::container {
namespace {

// Between the end of the output and the record of the exit.
constexpr std::chrono::seconds kExitGrace{30};
constexpr int64_t kReturnMs = 30'000;

std::string result_document(std::optional<int64_t> exit_code) {
  api::ExecExit result;
  result.exit_code = exit_code;
  return api::to_json_text(result);
}

}  // namespace

void ExecRun::follow(events::EventLog& log) {
  follower_ = log.follow(seq, [weak = weak_from_this(), id = row.id.str()](const events::Event& event) {
    if (event.type != "container" || event.action != "exec_die") return;
    const auto exec = event.attributes.find("execID");
    if (exec == event.attributes.end() || exec->second != id) return;
    const auto self = weak.lock();
    if (!self) return;
    int64_t code = 0;
    if (const auto text = event.attributes.find("exitCode"); text != event.attributes.end()) {
      code = leading_number<int64_t>(text->second);
    }
    const std::lock_guard lock(self->mutex_);
    self->exited_ = code;
    self->changed_.notify_all();
  });
}

Status ExecRun::attach(FindKeeper keeper, Deadline deadline) {
  io::AttachSpec spec;
  spec.can_resume = true;
  spec.client = io::random_client();
  spec.want_stdin = config.attach_stdin.value_or(false);
  spec.want_stdout = config.attach_stdout.value_or(false);
  spec.want_stderr = config.attach_stderr.value_or(false);
  std::optional<DetachKeys> keys;
  if (config.tty.value_or(false)) {
    POUCH_ASSIGN_OR_RETURN(std::string bytes, parse_detach_keys(config.detach_keys.value_or("")));
    keys.emplace(std::move(bytes));
  }
  POUCH_ASSIGN_OR_RETURN(const auto first, keeper(deadline));
  POUCH_ASSIGN_OR_RETURN(auto connection, first->attach(row.id.str(), spec, deadline));
  const auto again = [keeper = std::move(keeper), spec,
                      id = row.id.str()](const std::optional<io::AttachPosition>& at) mutable
      -> Result<std::unique_ptr<io::AttachConnection>> {
    // It has no log, in which what an older keeper forgets could be found.
    if (!at || at->generation == 0) return unavailable("the keeper's worker was restarted");
    const Deadline soon = Deadline::after_ms(kReturnMs);
    POUCH_ASSIGN_OR_RETURN(const auto next, keeper(soon));
    spec.resume = at;
    return next->attach(id, spec, soon);
  };
  pump_ = std::make_shared<AttachPump>(std::move(connection), again, std::move(keys));
  return {};
}

void ExecRun::stop() {
  if (pump_) pump_->stop();
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

Result<std::string> ExecRun::await_exit() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kExitGrace, [this] { return exited_.has_value() || stopped_; });
  if (exited_) return result_document(*exited_);
  if (stopped_) return Status(Code::kClosed, "the exec's stream was ended");
  return internal_error("the end of exec " + row.id.str() + " was not recorded");
}

Result<std::string> ExecRun::run_output(StreamPipe& pipe) {
  if (!failure.is_ok()) {
    pipe.push(Channel::kStdout, failure.message() + "\r\n").ignore();
    return result_document(exit_code);
  }
  const auto end = pump_->pump_output();
  if (pump_->is_detached()) {
    if (on_detach) on_detach();
    return result_document(std::nullopt);
  }
  if (!end.is_ok()) return end.status();
  POUCH_RETURN_IF_ERROR(status_of_end(*end));
  return await_exit();
}

StreamPtr ExecRun::open(Executor& threads, const std::shared_ptr<Closers>& closers, Inflight& inflight) {
  const auto pipe = pump_ ? pump_->pipe() : std::make_shared<StreamPipe>(QueuePolicy::kLag);
  StreamPtr stream = pipe->open();
  if (detach) {
    pipe->finish(result_document(std::nullopt));
    return stream;
  }
  if (on_resize && pump_) pipe->on_resize(on_resize);
  pipe->on_cancel([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->stop();
  });
  const int closer = closers->add([weak = weak_from_this(), pipe] {
    pipe->finish(Status(Code::kClosed, "the engine was closed while an exec was attached to"));
    if (const auto self = weak.lock()) self->stop();
  });
  threads.submit([self = shared_from_this(), pipe, closer, closers, held = inflight.enter()] {
    Result<std::string> result = self->run_output(*pipe);
    closers->remove(closer);
    pipe->finish(std::move(result));
  });
  if (failure.is_ok() && config.attach_stdin.value_or(false)) {
    threads.submit([pump = pump_, held = inflight.enter()] { pump->pump_input(); });
  }
  return stream;
}

Status exec_failure(const Status& reason, int64_t& exit_code) {
  std::string text = reason.message();
  const size_t at = text.find("OCI runtime exec failed");
  if (at == std::string::npos) return reason;
  text.erase(0, at);
  const std::string lower = to_lower(text);
  const bool missing = lower.find("executable file not found") != std::string::npos ||
                       lower.find("no such file or directory") != std::string::npos;
  exit_code = missing ? 127 : 126;
  return invalid_argument(std::move(text));
}

}  // namespace pouch::container
