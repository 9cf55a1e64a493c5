#include "core/ctrd/watch.h"

#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "core/base/executor.h"
#include "core/base/log.h"
#include "core/ctrd/convert.h"
#include "core/ctrd/transport.h"
#include "events.pb.h"
#include "events_service.pb.h"

namespace pouch::ctrd {
namespace {

namespace pb = containerd::services::events::v1;
namespace ev = containerd::events;

constexpr int64_t kFirstPauseMs = 50;
constexpr int64_t kMaxPauseMs = 1'000;
constexpr int64_t kProbeEveryMs = 20;
constexpr int64_t kSubscribeMs = 10'000;
// containerd does not say when a subscription has begun: an event of our own that comes back does.
constexpr const char* kProbeTopic = "/pouch/watch";

template <class Message>
bool parse(const wire::Any& any, const char* type, Message& message) {
  return any.type_url() == type && message.ParseFromString(any.value());
}

// containerd names the first process by the container's id, or not at all.
ExecId exec_of(const std::string& container_id, const std::string& id) {
  return ExecId(id == container_id ? std::string() : id);
}

template <class Message>
TaskEvent simple(TaskEventKind kind, const Message& message) {
  TaskEvent event;
  event.kind = kind;
  event.container_id = ContainerId(message.container_id());
  return event;
}

template <class Message>
TaskEvent ended(TaskEventKind kind, const Message& message) {
  TaskEvent event = simple(kind, message);
  event.exec_id = exec_of(message.container_id(), message.id());
  event.pid = message.pid();
  event.exit_status = message.exit_status();
  event.exited_at = timestamp_from(message.exited_at());
  return event;
}

template <class Message>
TaskEvent with_pid(TaskEventKind kind, const Message& message) {
  TaskEvent event = simple(kind, message);
  event.pid = message.pid();
  return event;
}

std::optional<TaskEvent> exec_event(const wire::Any& any) {
  if (ev::TaskExecAdded message; parse(any, "containerd.events.TaskExecAdded", message)) {
    TaskEvent event = simple(TaskEventKind::kExecAdded, message);
    event.exec_id = ExecId(message.exec_id());
    return event;
  }
  if (ev::TaskExecStarted message; parse(any, "containerd.events.TaskExecStarted", message)) {
    TaskEvent event = with_pid(TaskEventKind::kExecStarted, message);
    event.exec_id = ExecId(message.exec_id());
    return event;
  }
  return {};
}

std::optional<TaskEvent> decode(const wire::Any& any) {
  using Kind = TaskEventKind;
  if (ev::TaskExit m; parse(any, "containerd.events.TaskExit", m)) return ended(Kind::kExit, m);
  if (ev::TaskDelete m; parse(any, "containerd.events.TaskDelete", m)) return ended(Kind::kDelete, m);
  if (ev::TaskCreate m; parse(any, "containerd.events.TaskCreate", m)) return with_pid(Kind::kCreate, m);
  if (ev::TaskStart m; parse(any, "containerd.events.TaskStart", m)) return with_pid(Kind::kStart, m);
  if (ev::TaskOOM m; parse(any, "containerd.events.TaskOOM", m)) return simple(Kind::kOom, m);
  if (ev::TaskPaused m; parse(any, "containerd.events.TaskPaused", m)) return simple(Kind::kPaused, m);
  if (ev::TaskResumed m; parse(any, "containerd.events.TaskResumed", m)) return simple(Kind::kResumed, m);
  return exec_event(any);
}

}  // namespace

struct Watch::Impl {
  Impl(std::shared_ptr<Client> c, TaskListener& l) : client(std::move(c)), listener(l) {
    until_stop.cancel = std::make_shared<CancelToken>();
  }

  void run();
  Status follow(bool& subscribed);
  Status publish_probe();
  Result<std::unique_ptr<Stream>> subscribe();
  void deliver(const pb::Envelope& envelope);

  const std::shared_ptr<Client> client;
  TaskListener& listener;
  Call until_stop;
  std::thread thread;
};

void Watch::Impl::deliver(const pb::Envelope& envelope) {
  if (envelope.topic() == kProbeTopic) return;
  std::optional<TaskEvent> event = decode(envelope.event());
  if (!event) return;  // checkpoints, and what later versions add
  event->at = timestamp_from(envelope.timestamp());
  listener.on_task_event(*event);
}

Status Watch::Impl::publish_probe() {
  ev::NamespaceUpdate update;  // a type that every other subscriber can decode
  update.set_name(client->ns());
  pb::PublishRequest request;
  request.set_topic(kProbeTopic);
  request.mutable_event()->set_type_url("containerd.events.NamespaceUpdate");
  request.mutable_event()->set_value(update.SerializeAsString());
  const Rpc rpc{.path = "/containerd.services.events.v1.Events/Publish", .name = "events.publish"};
  return client->transport()->unary(until_stop, rpc, request);
}

// A stream that is known to deliver: events before its first answer are lost, those after come.
Result<std::unique_ptr<Stream>> Watch::Impl::subscribe() {
  Call call = until_stop;
  call.deadline = Deadline::after_ms(kSubscribeMs);
  const std::string mine = "namespace==\"" + client->ns() + "\",";
  pb::SubscribeRequest request;
  request.add_filters(mine + "topic~=|^/tasks/|");
  request.add_filters(mine + "topic==\"" + kProbeTopic + "\"");
  const Rpc rpc{.path = "/containerd.services.events.v1.Events/Subscribe", .name = "events.subscribe"};
  std::unique_ptr<Stream> stream = client->transport()->open_stream(rpc);
  POUCH_RETURN_IF_ERROR(stream->write(call, request, true));
  pb::Envelope envelope;
  while (true) {
    POUCH_RETURN_IF_ERROR(publish_probe());
    POUCH_ASSIGN_OR_RETURN(const Stream::Poll got, stream->poll(call, kProbeEveryMs, envelope));
    if (got == Stream::Poll::kNothingYet) continue;
    return stream;  // the listener lists everything now: this first event, if a task's, is in the list
  }
}

Status Watch::Impl::follow(bool& subscribed) {
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<Stream> stream, subscribe());
  subscribed = true;
  listener.on_resync();
  pb::Envelope envelope;
  while (true) {
    POUCH_ASSIGN_OR_RETURN(const bool more, stream->read(until_stop, envelope));
    if (!more) return unavailable("containerd: events.subscribe: the stream ended");
    deliver(envelope);
  }
}

void Watch::Impl::run() {
  int64_t pause_ms = kFirstPauseMs;
  bool told = false;
  while (until_stop.check().is_ok()) {
    bool subscribed = false;
    listener.before_connect();
    const Status why = follow(subscribed);
    if (!until_stop.check().is_ok()) return;
    if (subscribed) {
      pause_ms = kFirstPauseMs;
      told = false;
    }
    if (!told) {
      log_warning("ctrd", "task events interrupted: " + why.message());
      listener.on_disconnect(why);
      told = true;
    }
    if (!pause(until_stop, pause_ms).is_ok()) return;
    pause_ms = std::min(pause_ms * 2, kMaxPauseMs);
  }
}

Watch::Watch(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

std::unique_ptr<Watch> Watch::start(std::shared_ptr<Client> client, TaskListener& listener) {
  auto impl = std::make_unique<Impl>(std::move(client), listener);
  Impl* raw = impl.get();
  raw->thread = start_thread([raw] { raw->run(); });
  return std::make_unique<Watch>(std::move(impl));
}

Watch::~Watch() {
  stop();
}

void Watch::stop() {
  impl_->until_stop.cancel->fire();
  if (impl_->thread.joinable()) impl_->thread.join();
}

}  // namespace pouch::ctrd
