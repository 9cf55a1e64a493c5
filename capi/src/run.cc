#include <array>
#include <vector>

#include "capi/src/handle.h"
#include "core/api/op.h"

namespace pouch::capi {
namespace {

bool flag(const Json &config, const char *name) {
  return config.isObject() && config.isMember(name) && config[name].isBool() && config[name].asBool();
}

/// The client has left by the detach keys: there is no end to wait for.
bool is_detached(const std::string &attach_end) {
  const Result<Json> end = parse_json(attach_end);
  return end.is_ok() && flag(*end, "Detached");
}

/// The attach stream, with the result of the wait at its end; of the attach when the client left.
class RunStream : public Stream {
 public:
  RunStream(StreamPtr attach, StreamPtr wait) : attach_(std::move(attach)), wait_(std::move(wait)) {}

  Result<Next> next(Frame *frame, Deadline deadline) override { return attach_->next(frame, deadline); }
  Result<size_t> write(std::string_view data, Deadline deadline) override {
    return attach_->write(data, deadline);
  }
  Status close_write() override { return attach_->close_write(); }
  Status resize(uint32_t rows, uint32_t cols) override { return attach_->resize(rows, cols); }
  int poll_fd() const override { return attach_->poll_fd(); }

  Result<std::string> finish(const Call &call) override {
    POUCH_ASSIGN_OR_RETURN(const std::string end, attach_->finish(call));
    if (is_detached(end)) {
      wait_->cancel();
      return end;
    }
    Frame message;
    POUCH_ASSIGN_OR_RETURN(const Next next, wait_->next(&message, call.deadline));
    if (next == Next::kFrame) result_ = std::move(message.data);
    if (next == Next::kAgain) return Status(Code::kDeadlineExceeded, "the container has not ended in time");
    if (result_.empty()) return Status(Code::kDataLoss, "wait for the container: the stream ended early");
    return result_;
  }

  void cancel() override {
    attach_->cancel();
    wait_->cancel();
  }

 private:
  const StreamPtr attach_;
  const StreamPtr wait_;
  std::string result_;
};

/// Moves the member to another options document.
void move_option(Json &from, const char *name, Json &to) {
  if (!from.isObject() || !from.isMember(name)) return;
  to[name] = from[name];
  from.removeMember(name);
}

Json attach_options(const Json &config, Json &run_options) {
  Json out = json_object();
  bool chosen = false;
  constexpr std::array kStreams = {std::pair{"AttachStdin", "stdin"}, std::pair{"AttachStdout", "stdout"},
                                   std::pair{"AttachStderr", "stderr"}};
  for (const auto &[field, option] : kStreams) {
    chosen = chosen || (config.isObject() && config.isMember(field));
    out[option] = flag(config, field);
  }
  if (!chosen) {
    out["stdin"] = flag(config, "OpenStdin");
    out["stdout"] = true;
    out["stderr"] = true;
  }
  out["stream"] = true;
  move_option(run_options, "detachKeys", out);
  return out;
}

/// One run: the steps in order, over the generic operations, so that it is the same for every engine.
class Runner {
 public:
  Runner(pouch_client_t &client, const Call &call) : engine_(*client.engine), call_(call) {}

  Status create(const Json &config, const Json &options, pouch_buf_t *result_json) {
    POUCH_ASSIGN_OR_RETURN(const Json created,
                           api::call_operation(engine_, *api::find_operation("container.create"),
                                               {{}, &config, &options}, call_));
    id_ = {created["Id"].asString()};
    return fill_buffer(write_json(created), result_json);
  }

  Result<StreamPtr> open(const char *op, const Json &options) {
    return api::open_operation(engine_, *api::find_operation(op), {id_, nullptr, &options}, call_);
  }

  Status start() {
    return api::call_operation(engine_, *api::find_operation("container.start"), {id_, nullptr, nullptr},
                               call_)
        .status();
  }

  /// What --rm means when the container never ran; an engine that did it already answers NotFound.
  void remove() {
    Json options = json_object();
    options["force"] = true;
    const Call unhurried{Deadline::after_ms(10'000), nullptr, call_.request_id};
    api::call_operation(engine_, *api::find_operation("container.remove"), {id_, nullptr, &options},
                        unhurried)
        .status()
        .ignore();
  }

 private:
  Engine &engine_;
  const Call &call_;
  std::vector<std::string> id_;
};

Status attach_and_start(Runner &runner, const Json &attach_options, bool auto_remove, bool attached,
                        StreamPtr &out) {
  if (attached) {
    Json wait_options = json_object();
    wait_options["condition"] = auto_remove ? "removed" : "next-exit";
    POUCH_ASSIGN_OR_RETURN(StreamPtr attach, runner.open("container.attach", attach_options));
    POUCH_ASSIGN_OR_RETURN(StreamPtr wait, runner.open("container.wait", wait_options));
    out = std::make_unique<RunStream>(std::move(attach), std::move(wait));
  }
  return runner.start();
}

Status run_container(pouch_client_t &client, const char *config_json, const char *options_json,
                     const Call &call, pouch_buf_t *result_json, StreamPtr *out) {
  POUCH_ASSIGN_OR_RETURN(const Json config, parse_argument(config_json, "config"));
  POUCH_ASSIGN_OR_RETURN(Json options, parse_argument(options_json, "options"));
  const Json attach = attach_options(config, options);
  const bool auto_remove = config.isObject() && flag(config["HostConfig"], "AutoRemove");
  Runner runner(client, call);
  POUCH_RETURN_IF_ERROR(runner.create(config, options, result_json));
  StreamPtr stream;
  const Status started = attach_and_start(runner, attach, auto_remove, out != nullptr, stream);
  if (started.is_ok()) {
    if (out != nullptr) *out = std::move(stream);
    return {};
  }
  if (stream) stream->cancel();
  if (auto_remove) runner.remove();
  return started;
}

}  // namespace
}  // namespace pouch::capi

pouch_status_t pouch_container_run(pouch_client_t *client, const char *config_json, const char *options_json,
                                   const pouch_call_t *call, pouch_buf_t *result_json, pouch_stream_t **out,
                                   pouch_error_t **error) {
  using pouch::Status;
  if (result_json != nullptr) *result_json = POUCH_BUF_INIT;
  if (out != nullptr) *out = nullptr;
  return pouch::capi::guarded(error, [&]() -> Status {
    POUCH_RETURN_IF_ERROR(pouch::capi::check_handle(client, "client"));
    pouch::capi::CallScope scope;
    POUCH_RETURN_IF_ERROR(scope.begin(*client, call));
    pouch::StreamPtr stream;
    const Status status = pouch::capi::run_container(*client, config_json, options_json, scope.call(),
                                                     result_json, out == nullptr ? nullptr : &stream);
    if (!status.is_ok()) return scope.explain(status);
    if (out != nullptr) *out = pouch::capi::wrap_stream(std::move(stream), client).release();
    return {};
  });
}
