#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/log.h"
#include "core/base/number.h"
#include "core/base/text.h"
#include "core/io/keeper_server.h"
#include "core/sys/file.h"
#include "core/sys/secure_dir.h"
#include "daemon/keeper/end_watch.h"
#include "daemon/keeper/hooks.h"
#include "daemon/keeper/name_child.h"
#include "daemon/keeper/succession.h"
#include "daemon/keeper/supervisor.h"
#include "daemon/keeper/vault.h"

namespace pouch::keeper {
namespace {

constexpr char kUsage[] =
    "usage: pouch-keeper --run-dir DIR [--root DIR] [--idle-exit-ms N] [--drain-grace-ms N] [--cgroup PATH]\n"
    "                    [--log-level LEVEL] [--set KEY=VALUE]...\n"
    "       pouch-keeper --mind-containerd PROGRAM --run-dir DIR --root DIR [--cgroup PATH]\n"
    "       pouch-keeper --version\n"
    "Keeps the stdio and logs of one engine root's containers, or minds the root's private containerd. "
    "Started "
    "by the engine; see docs/.\n";

Status parse_number(const std::string& text, int64_t& value) {
  const auto number = whole_number<int64_t>(text);
  if (!number) return invalid_argument(quote(text) + " is not a number");
  value = *number;
  return {};
}

Status add_setting(const std::string& text, KeeperConfig& config) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return invalid_argument(quote(text) + " is not KEY=VALUE");
  config.settings[text.substr(0, equals)] = text.substr(equals + 1);
  return {};
}

Result<KeeperConfig> parse_arguments(int argc, char** argv) {
  KeeperConfig config;
  config.arguments = {argv[0]};
  const auto take_text = [](std::string& to) {
    return [&to](const std::string& value) {
      to = value;
      return Status();
    };
  };
  const auto take_number = [](int64_t& to) {
    return [&to](const std::string& value) { return parse_number(value, to); };
  };
  const std::map<std::string, std::function<Status(const std::string&)>> options = {
      {"--run-dir", take_text(config.run_dir)},
      {"--root", take_text(config.root_dir)},
      {"--cgroup", take_text(config.cgroup)},
      {"--mind-containerd", take_text(config.containerd_program)},
      {"--idle-exit-ms", take_number(config.idle_exit_ms)},
      {"--drain-grace-ms", take_number(config.drain_grace_ms)},
      {"--log-level",
       [&](const std::string& value) {
         const LogLevel* const level = log_level_from_name(value);
         if (level == nullptr) return invalid_argument(quote(value) + " is no level");
         config.log_level = *level;
         return Status();
       }},
      {"--set", [&](const std::string& value) { return add_setting(value, config); }},
      {kEstateOption, take_number(config.estate)},
  };
  for (int i = 1; i < argc; i += 2) {
    const auto option = options.find(argv[i]);
    if (option == options.end()) return invalid_argument("unknown option " + quote(argv[i]));
    if (i + 1 >= argc) return invalid_argument("option " + quote(argv[i]) + " needs a value");
    POUCH_RETURN_IF_ERROR(option->second(argv[i + 1]).prefix("option " + quote(argv[i])));
    const bool is_lasting = std::string_view(argv[i]) != kEstateOption;
    if (is_lasting) config.arguments.insert(config.arguments.end(), {argv[i], argv[i + 1]});
  }
  if (config.run_dir.empty()) return invalid_argument("--run-dir is needed");
  return config;
}

void log_to_stderr(LogLevel level) {
  add_log_sink(level, [](const LogRecord& record) {
    sys::write_all(STDERR_FILENO, format_log_line(record) + "\n").ignore();
  });
}

// Four descriptors or so a container.
void raise_descriptor_limit() {
  rlimit limit = {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Status serve(const KeeperConfig& config, const WorkerPlace& place) {
  EndWatch end_watch;
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<io::KeeperHooks> hooks, make_keeper_hooks(config));
  io::KeeperServerOptions options;
  options.run_dir = config.run_dir;
  options.listener = UniqueFd(place.listener);
  options.idle_exit_ms = config.idle_exit_ms;
  options.drain_grace_ms = config.drain_grace_ms;
  options.keeper_pid = place.supervisor_pid;
  options.hooks = hooks.get();
  VaultClient vault(place.vault_socket);
  options.vault = &vault;
  options.inherited = place.inherited;
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<io::KeeperServer> server,
                         io::KeeperServer::create(std::move(options)));
  // The next worker takes up streams and ports as after a kill.
  const auto succeed = [&](const VaultClient::Holdings& held) {
    log_warning("keeper", "the supervisor has died; its worker takes its place");
    const Status failed = become_supervisor({place.lock, place.listener, held}, config.arguments);
    log_error("keeper", failed.message() + "; the worker goes on without a supervisor");
  };
  POUCH_RETURN_IF_ERROR(
      end_watch.watch([&server] { server->stop(); }, place.vault_socket, [&] { vault.visit(succeed); }));
  const Status served = server->run();
  end_watch.end();
  return served;
}

int run_worker(const KeeperConfig& config, const WorkerPlace& place) {
  log_to_stderr(config.log_level);  // a child of fork() begins without the supervisor's
  Status served;
  try {
    served = serve(config, place);
  } catch (const std::exception& exception) {
    served = internal_error(std::string("the worker failed: ") + exception.what());
  }
  if (!served.is_ok()) log_error("keeper", served.message());
  return served.is_ok() ? 0 : 1;
}

Status keep(const KeeperConfig& config) {
  std::optional<Estate> estate;
  if (config.estate >= 0) {
    POUCH_ASSIGN_OR_RETURN(estate, take_estate(static_cast<int>(config.estate)));
  }
  const auto work = [&](const WorkerPlace& place) { return run_worker(config, place); };
  return supervise(config.run_dir, config.cgroup, work, estate);
}

int fail(const Status& status, int code) {
  const std::string line = "pouch-keeper: " + status.message() + "\n";
  sys::write_all(STDERR_FILENO, line).ignore();
  return code;
}

// The process that NameService starts, with its end of the link in place of stdin.
int name_server_main() {
  log_to_stderr(LogLevel::kInfo);
  ::signal(SIGPIPE, SIG_IGN);
  const Status served = serve_names(STDIN_FILENO);
  if (!served.is_ok()) log_error("names", served.message());
  return served.is_ok() ? 0 : 1;
}

int keeper_main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--serve-names") return name_server_main();
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    ::puts("pouch-keeper " POUCH_VERSION);
    return 0;
  }
  if (argc == 2 && std::string_view(argv[1]) == "--help") {
    ::fputs(kUsage, stdout);
    return 0;
  }
  const Result<KeeperConfig> config = parse_arguments(argc, argv);
  if (!config.is_ok()) {
    ::fputs(kUsage, stderr);
    return fail(config.status(), 2);
  }
  log_to_stderr(config->log_level);
  ::prctl(PR_SET_NAME, program_invocation_short_name);  // executed anew it is "exe"
  ::signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
  Status done = sys::secure_mkdir(config->run_dir).status();
  if (done.is_ok()) done = config->containerd_program.empty() ? keep(*config) : mind(*config);
  return done.is_ok() ? 0 : fail(done, 1);
}

}  // namespace
}  // namespace pouch::keeper

int main(int argc, char** argv) {
  return pouch::keeper::keeper_main(argc, argv);
}
