#include "core/remote/remote_engine.h"

#include <atomic>
#include <utility>

#include "core/base/base64.h"
#include "core/base/text.h"
#include "core/remote/hijack.h"
#include "core/remote/target.h"

namespace pouch::remote {
namespace {

// One thread per open stream.
constexpr size_t kMaxStreams = 1024;
// For the questions asked in the name of a stream after its end.
constexpr int64_t kQuestionMs = 30'000;
// What a dockerd older than the header is taken for, as Docker's own client does.
constexpr ApiVersion kOldestVersion{1, 24};

// Only printable ASCII travels; other names stay in this process.
bool is_header_text(const std::string& text) {
  if (text.empty() || text.size() > 64) return false;
  for (const char c : text) {
    if (c < ' ' || c > '~') return false;
  }
  return true;
}

Json ping_info(const Head& head) {
  Json info = json_object();
  info["ApiVersion"] = head.header("api-version");
  info["OSType"] = head.header("ostype");
  info["Experimental"] = to_lower(head.header("docker-experimental")) == "true";
  if (const std::string builder = head.header("builder-version"); !builder.empty())
    info["BuilderVersion"] = builder;
  if (const std::string swarm = head.header("swarm"); !swarm.empty()) info["SwarmStatus"] = swarm;
  return info;
}

// Of an upload whose bytes come from elsewhere: they are on the server's host, or it fetches them.
bool has_other_source(const api::OpInfo& op, const Json* options) {
  if (options == nullptr || !options->isObject()) return false;
  if (op.name != "image.import_tar") return options->isMember("path");
  const Json& source = (*options)["fromSrc"];
  return source.isString() && !source.asString().empty() && source.asString() != "-";
}

bool is_true(const Json* document, const char* name) {
  return document != nullptr && document->isObject() && (*document)[name].isBool() &&
         (*document)[name].asBool();
}

Result<Json> parse_answer(const Transfer& transfer, std::string_view body) {
  if (trim(body).empty()) return Json();
  Result<Json> json = parse_json(body, {kMaxBodyBytes, 64});
  if (json.is_ok()) return json;
  return Status(Code::kDataLoss,
                transfer.op() + ": the server's answer is no document: " + json.status().message());
}

}  // namespace

Result<std::unique_ptr<RemoteEngine>> RemoteEngine::open(const std::string& uri) {
  POUCH_ASSIGN_OR_RETURN(Address address, Address::parse(uri));
  return std::unique_ptr<RemoteEngine>(new RemoteEngine(std::move(address)));
}

RemoteEngine::RemoteEngine(Address address) : address_(std::move(address)), executor_(kMaxStreams) {}

RemoteEngine::~RemoteEngine() {
  std::vector<std::weak_ptr<StreamTask>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  closing_->fire();
  for (const auto& weak : tasks) {
    if (const auto task = weak.lock()) task->abort();
  }
}

Result<Json> RemoteEngine::ping(const Call& call, std::string_view op) {
  Request request{std::string(op), "GET", "/_ping", {"Pouch-Strict: 1"}, std::nullopt};
  POUCH_ASSIGN_OR_RETURN(const auto transfer, Transfer::begin(pool_, address_, std::move(request)));
  POUCH_RETURN_IF_ERROR(transfer->run_to_end(call));
  const Head& head = transfer->head();
  if (head.status != 200) return error_of_answer(head, transfer->take_body(), op);
  ApiVersion version = ApiVersion::parse(head.header("api-version"));
  if (version == ApiVersion{}) version = kOldestVersion;
  const std::lock_guard lock(mutex_);
  server_ = Server{head.is_pouchd(), std::min(version, kOurVersion)};
  return ping_info(head);
}

Result<RemoteEngine::Server> RemoteEngine::server(const Call& call, std::string_view op) {
  {
    const std::lock_guard lock(mutex_);
    if (server_) return *server_;
  }
  POUCH_RETURN_IF_ERROR(ping(call, op).status());
  const std::lock_guard lock(mutex_);
  return *server_;
}

Result<Request> RemoteEngine::make_request(const Operation& operation, const Server& server,
                                           const Call& call) const {
  const api::OpInfo& op = operation.op;
  Request request{std::string(op.name), std::string(op.method), {}, {}, std::nullopt};
  if (server.is_pouchd) {
    request.headers.emplace_back("Pouch-Strict: 1");
    if (is_header_text(call.request_id)) request.headers.push_back("Pouch-Request-Id: " + call.request_id);
    if (!call.session.empty()) request.headers.push_back("Pouch-Session: " + call.session);
  } else {
    POUCH_RETURN_IF_ERROR(check_dockerd_knows(op, operation.options, server.version));
    POUCH_RETURN_IF_ERROR(check_dockerd_mounts(op, operation.config, server.version));
  }
  const std::string version = (server.is_pouchd ? kOurVersion : server.version).str();
  std::vector<std::string> ids = operation.ids;
  const Json adapted =
      server.is_pouchd ? Json() : options_for_dockerd(op, server.version, ids, operation.options);
  const Json* const options = server.is_pouchd ? operation.options : &adapted;
  api::OpInfo route = op;
  if (!server.is_pouchd) route.path = path_for_dockerd(op);
  POUCH_ASSIGN_OR_RETURN(request.target, request_target(route, version, ids, options));
  for (std::string& header : option_headers(op, options)) request.headers.push_back(std::move(header));
  if (operation.config != nullptr) request.body = write_json(*operation.config);
  return request;
}

Result<Json> RemoteEngine::call_json(const api::OpInfo& op, const std::vector<std::string>& ids,
                                     const Json* config, const Json* options, const Call& call) {
  if (op.wire == "ping") return ping(call, op.name);
  POUCH_ASSIGN_OR_RETURN(const Server peer, server(call, op.name));
  POUCH_ASSIGN_OR_RETURN(Request request, make_request({op, ids, config, options}, peer, call));
  POUCH_ASSIGN_OR_RETURN(const auto transfer, Transfer::begin(pool_, address_, std::move(request)));
  POUCH_RETURN_IF_ERROR(transfer->run_to_end(call));
  const std::string body = transfer->take_body();
  if (transfer->head().status < 200 || transfer->head().status >= 300) {
    return error_of_answer(transfer->head(), body, op.name);
  }
  if (!op.has_result) return Json();
  return parse_answer(*transfer, body);
}

Result<StreamPtr> RemoteEngine::open_json(const api::OpInfo& op, const std::vector<std::string>& ids,
                                          const Json* config, const Json* options, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(const Server peer, server(call, op.name));
  const Operation operation{op, ids, config, options};
  if (op.kind == api::OpKind::kDuplex) return open_hijack(operation, peer, call);
  return open_body(operation, peer, call);
}

Result<StreamPtr> RemoteEngine::open_body(const Operation& operation, const Server& server,
                                          const Call& call) {
  const api::OpInfo& op = operation.op;
  POUCH_ASSIGN_OR_RETURN(Request request, make_request(operation, server, call));
  POUCH_ASSIGN_OR_RETURN(BodyFormat format, format_of(operation, server, call));
  const auto loaded = std::make_shared<LoadedImages>();
  if (!server.is_pouchd && op.frames == api::OpFrames::kMessages) {
    format.canonical = [name = std::string(op.name), loaded](std::string_view line) {
      Result<std::string> message = canonical_message(name, line);
      if (message.is_ok()) loaded->take(*message);
      return message;
    };
  }
  POUCH_ASSIGN_OR_RETURN(auto transfer, Transfer::begin(pool_, address_, std::move(request)));
  const auto pipe = std::make_shared<StreamPipe>(format.merge ? QueuePolicy::kLatest : QueuePolicy::kBlock);
  const auto task = std::make_shared<BodyStream>(std::move(transfer), pipe, std::move(format),
                                                 completion_of(operation, server, loaded));
  if (op.kind == api::OpKind::kUpload && !has_other_source(op, operation.options)) {
    task->upload();
  } else {
    if (op.queue == QueuePolicy::kLatest) task->go_on();
    POUCH_RETURN_IF_ERROR(task->open(call));
  }
  StreamPtr stream = pipe->open();
  start(task);
  return stream;
}

Result<StreamPtr> RemoteEngine::open_hijack(const Operation& operation, const Server& server,
                                            const Call& call) {
  POUCH_ASSIGN_OR_RETURN(Request request, make_request(operation, server, call));
  POUCH_ASSIGN_OR_RETURN(BodyFormat format, format_of(operation, server, call));
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  const auto task =
      std::make_shared<Hijack>(address_, std::move(request), pipe, completion_of(operation, server, nullptr));
  POUCH_RETURN_IF_ERROR(task->open(call));
  if (format.raw_stdio) POUCH_RETURN_IF_ERROR(adapt_terminal(operation, call, *task));
  allow_resize(operation, server.is_pouchd ? std::nullopt : std::optional(format.raw_stdio), *pipe);
  task->set_format(std::move(format));
  StreamPtr stream = pipe->open();
  start(task);
  return stream;
}

Status RemoteEngine::adapt_terminal(const Operation& operation, const Call& call, Hijack& task) {
  task.keep_input_open();
  if (operation.op.name == "exec.start") {
    if (is_true(operation.config, "Detach")) return {};
    POUCH_ASSIGN_OR_RETURN(const Json exec, call_json(*api::find_operation("exec.inspect"), operation.ids,
                                                      nullptr, nullptr, call));
    const std::string keys = exec["DetachKeys"].isString() ? exec["DetachKeys"].asString() : "";
    // It takes its own end of the stream for a failure of the exec, which goes on all the same.
    if (is_true(&exec, "OpenStdin")) task.set_detach_keys(DetachKeys(base64_decode(keys).value_or("")), "{}");
    return {};
  }
  const Json* options = operation.options;
  if (!is_true(options, "stdin")) return {};
  const bool has_keys = (*options)["detachKeys"].isString();
  POUCH_ASSIGN_OR_RETURN(std::string keys,
                         parse_detach_keys(has_keys ? (*options)["detachKeys"].asString() : ""));
  task.set_detach_keys(DetachKeys(std::move(keys)), R"({"Detached":true})");
  return {};
}

void RemoteEngine::allow_resize(const Operation& operation, std::optional<bool> terminal, StreamPipe& pipe) {
  const bool is_exec = operation.op.name == "exec.start";
  if (is_exec) terminal = is_true(operation.config, "Tty");
  if (terminal.has_value() && !*terminal) return;
  const auto is_known = std::make_shared<std::atomic<bool>>(terminal.has_value());
  pipe.on_resize(
      [this, is_known, ids = operation.ids, &op = operation.op,
       resize = is_exec ? "exec.resize" : "container.resize"](uint32_t rows, uint32_t columns) -> Status {
        const Call call{Deadline::after_ms(kQuestionMs), closing_, {}};
        if (!*is_known) {
          POUCH_ASSIGN_OR_RETURN(const bool is_terminal, has_terminal({op, ids, nullptr, nullptr}, call));
          if (!is_terminal) return conflict("resize: this stream has no terminal");
          *is_known = true;
        }
        Json options = json_object();
        options["h"] = rows;
        options["w"] = columns;
        return call_json(*api::find_operation(resize), ids, nullptr, &options, call).status();
      });
}

Result<BodyFormat> RemoteEngine::format_of(const Operation& operation, const Server& server,
                                           const Call& call) {
  BodyFormat format;
  format.frames = operation.op.frames;
  format.end_records = server.is_pouchd;
  format.merge = operation.op.queue == QueuePolicy::kLatest;
  if (!server.is_pouchd && format.frames == api::OpFrames::kStdio) {
    // Before API 1.42 no header tells the two forms apart.
    POUCH_ASSIGN_OR_RETURN(format.raw_stdio, has_terminal(operation, call));
  }
  return format;
}

Result<bool> RemoteEngine::has_terminal(const Operation& operation, const Call& call) {
  if (operation.op.name == "exec.start") return is_true(operation.config, "Tty");
  POUCH_ASSIGN_OR_RETURN(const Json container, call_json(*api::find_operation("container.inspect"),
                                                         operation.ids, nullptr, nullptr, call));
  return is_true(&container["Config"], "Tty");
}

// dockerd says neither id nor digest as a document: the image and what was said of it tell them.
Completion RemoteEngine::pull_completion(const Operation& operation,
                                         const std::shared_ptr<LoadedImages>& said) {
  std::vector<std::string> ids = operation.ids;
  const Json options = options_for_dockerd(operation.op, kOurVersion, ids, operation.options);
  std::string name = options["fromImage"].asString();
  const std::string tag = options["tag"].isString() ? options["tag"].asString() : "";
  if (!tag.empty()) name += (tag.find(':') == std::string::npos ? ":" : "@") + tag;
  return [this, name, said]() -> Result<std::string> {
    POUCH_ASSIGN_OR_RETURN(const Json image,
                           call_json(*api::find_operation("image.inspect"), {name}, nullptr, nullptr,
                                     {Deadline::after_ms(kQuestionMs), closing_, {}}));
    Json pulled = json_object();
    pulled["Id"] = image["Id"];
    pulled["Digest"] = said->digest();
    pulled["Reference"] = name;
    pulled["IsNew"] = said->is_new();
    Json answer = json_object();
    answer["Images"].append(std::move(pulled));
    return write_json(answer);
  };
}

Completion RemoteEngine::push_completion(const Operation& operation,
                                         const std::shared_ptr<LoadedImages>& said) {
  const std::string& name = operation.ids.front();
  const size_t colon = name.find(':', name.rfind('/') == std::string::npos ? 0 : name.rfind('/'));
  return [repository = name.substr(0, colon), said]() -> Result<std::string> {
    Json answer = json_object();
    answer["Images"] = json_array();
    for (const PushedTag& tag : said->pushed()) {
      Json pushed = json_object();
      pushed["Reference"] = repository + ":" + tag.tag;
      pushed["Digest"] = tag.digest;
      pushed["Size"] = static_cast<Json::Int64>(tag.size);
      answer["Images"].append(std::move(pushed));
    }
    return write_json(answer);
  };
}

Completion RemoteEngine::import_completion(const Operation& operation,
                                           const std::shared_ptr<LoadedImages>& said) {
  const Json options = operation.options == nullptr ? Json() : *operation.options;
  const std::string repo = options["repo"].isString() ? options["repo"].asString() : "";
  const std::string tag = options["tag"].isString() ? options["tag"].asString() : "";
  const bool has_tag =
      repo.find(':', repo.rfind('/') == std::string::npos ? 0 : repo.rfind('/')) != std::string::npos;
  const std::string name = has_tag ? repo : repo + ":" + (tag.empty() ? "latest" : tag);
  return [is_named = !repo.empty(), name, said]() -> Result<std::string> {
    Json answer = json_object();
    answer["Id"] = said->ids().empty() ? "" : said->ids().back();
    if (is_named) answer["Reference"] = name;
    return write_json(answer);
  };
}

Completion RemoteEngine::completion_of(const Operation& operation, const Server& server,
                                       const std::shared_ptr<LoadedImages>& loaded) {
  const std::string op(operation.op.name);
  if (server.is_pouchd) return nullptr;
  if (op == "image.pull") return pull_completion(operation, loaded);
  if (op == "image.push") return push_completion(operation, loaded);
  if (op == "image.import_tar") return import_completion(operation, loaded);
  if (op != "exec.start" && op != "image.load" && op != "container.attach") return nullptr;
  if (op == "container.attach") {
    return []() -> Result<std::string> { return std::string("{}"); };
  }
  if (op == "exec.start") {
    if (is_true(operation.config, "Detach")) {
      return []() -> Result<std::string> { return std::string("{}"); };
    }
    return [this, ids = operation.ids]() -> Result<std::string> {
      POUCH_ASSIGN_OR_RETURN(const Json exec,
                             call_json(*api::find_operation("exec.inspect"), ids, nullptr, nullptr,
                                       {Deadline::after_ms(kQuestionMs), closing_, {}}));
      Json exit = json_object();
      if (exec["ExitCode"].isInt64()) exit["ExitCode"] = exec["ExitCode"];
      return write_json(exit);
    };
  }
  return [this, loaded]() -> Result<std::string> {
    Json answer = json_object();
    answer["References"] = json_array();
    answer["Ids"] = json_array();
    for (const std::string& id : loaded->ids()) answer["Ids"].append(id);
    for (const std::string& name : loaded->references()) {
      POUCH_ASSIGN_OR_RETURN(const Json image,
                             call_json(*api::find_operation("image.inspect"), {name}, nullptr, nullptr,
                                       {Deadline::after_ms(kQuestionMs), closing_, {}}));
      answer["References"].append(name);
      answer["Ids"].append(image["Id"]);
    }
    return write_json(answer);
  };
}

void RemoteEngine::start(const std::shared_ptr<StreamTask>& task) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(tasks_, [](const auto& weak) { return weak.expired(); });
    tasks_.push_back(task);
  }
  executor_.submit([task] { task->run(); });
}

}  // namespace pouch::remote
