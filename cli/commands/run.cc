#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "cli/attach.h"
#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/flags_container.h"
#include "cli/pull.h"
#include "cli/terminal.h"

namespace pouch::cli {
namespace {

// For hosts without a way to a registry.
constexpr const char* kOtherWays =
    "pull it with 'pouch pull', load it with 'pouch load -i FILE', or make it with 'pouch image from-rootfs "
    "DIRECTORY "
    "NAME'";

struct RunFlags {
  ContainerFlags container;
  bool detach = false;
  bool quiet = false;
  bool signal_proxy = true;
  std::string detach_keys;
};

// As Docker's CLI tells them apart: by what runtimes say, here in crun's spelling too.
int start_failure_code(std::string message) {
  std::transform(message.begin(), message.end(), message.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto says = [&](const char* text) { return message.find(text) != std::string::npos; };
  if (says("executable file not found") || says("no such file or directory") ||
      says("system cannot find the file specified")) {
    return kExitNoSuchCommand;
  }
  if (says("permission denied") || says("is a directory")) return kExitCannotInvoke;
  return kExitUsage;
}

// The file of --cidfile, which must not exist before.
class IdFile {
 public:
  explicit IdFile(std::string path) : path_(std::move(path)) {
    if (path_.empty()) return;
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd_ >= 0) return;
    if (errno == EEXIST) {
      throw Exit(kExitUsage,
                 "container ID file found, make sure the other container isn't running or delete " + path_);
    }
    throw Exit(kExitUsage,
               "failed to create the container ID file: open " + path_ + ": " + std::strerror(errno));
  }
  ~IdFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    if (!written_) ::unlink(path_.c_str());
  }
  IdFile(const IdFile&) = delete;
  IdFile& operator=(const IdFile&) = delete;

  void write(const std::string& id) {
    if (fd_ < 0 || id.empty()) return;
    written_ = true;
    if (::write(fd_, id.data(), id.size()) != static_cast<ssize_t>(id.size())) {
      throw Exit(kExitUsage, "failed to write the container ID to " + path_ + ": " + std::strerror(errno));
    }
  }

 private:
  std::string path_;
  int fd_ = -1;
  bool written_ = false;
};

// Where signals go: before the container runs they give up its start, then they go to the container.
class SignalTarget {
 public:
  SignalTarget(Client& client, Cancel& cancel) : client_(client), cancel_(cancel) {}

  void set_container(const std::string& id) {
    const std::lock_guard lock(mutex_);
    id_ = id;
  }

  void take(const std::string& signal) {
    std::string id;
    {
      const std::lock_guard lock(mutex_);
      id = id_;
    }
    if (id.empty()) {
      if (signal == "SIGINT" || signal == "SIGTERM") cancel_.fire();
      return;
    }
    Json::Value options;
    options["signal"] = signal;
    try {
      client_.call("container.kill", {id}, options);
    } catch (const ApiError&) {
      // It has ended meanwhile.
    }
  }

 private:
  Client& client_;
  Cancel& cancel_;
  std::mutex mutex_;
  std::string id_;  // protected by mutex_
};

bool lacks_image(const ApiError& error) {
  return error.status() == POUCH_ERR_NOT_FOUND && error.message().find("No such image") != std::string::npos;
}

// What to say about an error of the creation or start.
std::string told(const ApiError& error) {
  if (!lacks_image(error) || error.message().find("from-rootfs") != std::string::npos) return error.message();
  return error.message() + "; " + kOtherWays;
}

struct PullPolicy {
  std::string when;  ///< always, missing, never
  std::string platform;
  bool is_quiet = false;
  int failure_code = kExitUsage;
};

void pull_for(Context& context, const std::string& image, const PullPolicy& policy) {
  PullWish wish;
  wish.image = image;
  wish.platform = policy.platform;
  wish.is_quiet = policy.is_quiet;
  wish.to_err = true;
  try {
    pull_image(context.client(), context.console(), wish);
  } catch (const ApiError& error) {
    const bool out_of_reach = error.status() == POUCH_ERR_UNAVAILABLE;
    throw Exit(policy.failure_code, error.message() + (out_of_reach ? std::string("; ") + kOtherWays : ""));
  }
}

std::string with_latest(const std::string& image) {
  const bool is_bare = image.substr(image.rfind('/') + 1).find_first_of(":@") == std::string::npos;
  return is_bare ? image + ":latest" : image;
}

/// Creates or runs; when the image is not here and the policy lets it, after a pull.
template <class Make>
auto with_image(Context& context, const std::string& image, const PullPolicy& policy, Make make) {
  if (policy.when == "always") pull_for(context, image, policy);
  auto made = make();
  if (policy.when != "missing" || !made.error || !lacks_image(*made.error)) return made;
  context.console().err_line("Unable to find image '" + sanitised(with_latest(image)) + "' locally");
  pull_for(context, image, policy);
  return make();
}

// Tells what the library answered to the start; throws Exit when there is no running container.
void check_started(const Console& console, const Started& started, IdFile& id_file) {
  for (const std::string& warning : started.warnings) console.err_line("WARNING: " + sanitised(warning));
  id_file.write(started.id);
  if (!started.error) return;
  throw Exit(started.id.empty() ? kExitUsage : start_failure_code(started.error->message()),
             told(*started.error));
}

PullPolicy policy_of(const ContainerFlags& flags, bool is_quiet, int failure_code = kExitUsage) {
  return {flags.pull, flags.platform, is_quiet, failure_code};
}

int run_in_background(Context& context, const RunFlags& flags, const Json::Value& config, IdFile& id_file) {
  Cancel cancel;
  const Started started = with_image(
      context, config["Image"].asString(), policy_of(flags.container, flags.quiet),
      [&] { return context.client().run(config, flags.container.create_options(), false, cancel); });
  check_started(context.console(), started, id_file);
  context.console().out_line(started.id);
  return 0;
}

int run_in_foreground(Context& context, const RunFlags& flags, const Json::Value& config, IdFile& id_file) {
  Client& client = context.client();
  Cancel cancel;
  SignalTarget target(client, cancel);
  std::optional<SignalForwarder> forwarder;
  // With a terminal ctrl-c is a key like others.
  const bool terminal = flags.container.tty;
  if (flags.signal_proxy && !terminal)
    forwarder.emplace([&](const std::string& signal) { target.take(signal); });
  Json::Value options = flags.container.create_options();
  if (!flags.detach_keys.empty()) options["detachKeys"] = flags.detach_keys;
  Started started = with_image(context, config["Image"].asString(), policy_of(flags.container, flags.quiet),
                               [&] { return client.run(config, options, true, cancel); });
  check_started(context.console(), started, id_file);
  target.set_container(started.id);
  const Json::Value result = copy_stdio(context.console(), *started.stream,
                                        {.input = config["AttachStdin"].asBool(), .terminal = terminal});
  return result["StatusCode"].asInt();  // 0 where the detach keys ended it
}

int run_container(Context& context, const RunFlags& flags, const Words& arguments) {
  flags.container.check_pull();
  Json::Value config = flags.container.config(arguments, flags.detach);
  if (!flags.detach) check_terminal(context.console(), config["AttachStdin"].asBool(), flags.container.tty);
  const std::optional<TerminalSize> size = terminal_size(context.console());
  if (flags.container.tty && size) {
    config["HostConfig"]["ConsoleSize"].append(size->rows);
    config["HostConfig"]["ConsoleSize"].append(size->columns);
  }
  IdFile id_file(flags.container.id_file);
  if (flags.detach) return run_in_background(context, flags, config, id_file);
  return run_in_foreground(context, flags, config, id_file);
}

struct Created {
  Json::Value answer;
  std::optional<ApiError> error;
};

Created try_create(Client& client, const ContainerFlags& flags, const Json::Value& config) {
  try {
    return {client.call("container.create", {}, flags.create_options(), config), std::nullopt};
  } catch (const ApiError& error) {
    return {{}, error};
  }
}

void create_container(Context& context, const ContainerFlags& flags, bool is_quiet, const Words& arguments) {
  flags.check_pull();
  const Json::Value config = flags.config(arguments, false);
  IdFile id_file(flags.id_file);
  const Created done = with_image(context, config["Image"].asString(), policy_of(flags, is_quiet, kExitError),
                                  [&] { return try_create(context.client(), flags, config); });
  if (done.error) throw ApiError(*done.error);
  const Json::Value& created = done.answer;
  for (const Json::Value& warning : created["Warnings"]) {
    context.console().err_line("WARNING: " + sanitised(warning.asString()));
  }
  id_file.write(created["Id"].asString());
  context.console().out_line(created["Id"].asString());
}

}  // namespace

int run_command(Context& context, const Invocation& invocation) {
  RunFlags flags;
  Options options(invocation.command, "IMAGE [COMMAND] [ARG...]",
                  "Create and run a new container from an image", {.least = 1});
  options.stop_at_first_argument();
  flags.container.declare(options);
  options.flag("-d, --detach", &flags.detach, "Run container in background and print container ID");
  options.text("--detach-keys", &flags.detach_keys, "string",
               "Override the key sequence for detaching a container");
  options.flag("--sig-proxy", &flags.signal_proxy, "Proxy received signals to the process");
  options.flag("-q, --quiet", &flags.quiet, "Suppress the pull output");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  if (flags.detach && !flags.container.attach.empty()) {
    throw Exit(kExitError, "conflicting options: cannot specify both --attach and --detach");
  }
  try {
    return run_container(context, flags, *arguments);
  } catch (const ApiError& error) {
    throw Exit(kExitUsage, options.with_hint(told(error)));
  } catch (const Exit& exit) {
    if (exit.code() == kExitError) throw;
    throw Exit(exit.code(), options.with_hint(exit.what()));
  }
}

int create_command(Context& context, const Invocation& invocation) {
  ContainerFlags flags;
  bool quiet = false;
  Options options(invocation.command, "IMAGE [COMMAND] [ARG...]", "Create a new container", {.least = 1});
  options.stop_at_first_argument();
  flags.declare(options);
  options.flag("-q, --quiet", &quiet, "Suppress the pull output");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  try {
    create_container(context, flags, quiet, *arguments);
  } catch (const ApiError& error) {
    throw Exit(kExitError, "Error: " + told(error));
  } catch (const Exit& exit) {
    throw Exit(exit.code(), options.with_hint(exit.what()));
  }
  return 0;
}

}  // namespace pouch::cli
