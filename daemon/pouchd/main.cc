#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "core/base/log.h"
#include "daemon/http/api_handler.h"
#include "daemon/http/server.h"
#include "daemon/pouchd/engine_factory.h"
#include "daemon/pouchd/options.h"
#include "daemon/pouchd/process.h"

namespace {

using pouch::Status;

void log_to_stderr(const pouch::LogRecord& record) {
  const std::string line = pouch::format_log_line(record) + "\n";
  [[maybe_unused]] const ssize_t wrote = ::write(STDERR_FILENO, line.data(), line.size());
}

Status serve(const pouch::pouchd::Options& options) {
  std::unique_ptr<pouch::pouchd::PidFile> pid_file;
  if (!options.pidfile.empty()) {
    POUCH_ASSIGN_OR_RETURN(pid_file, pouch::pouchd::PidFile::create(options.pidfile));
  }
  pouch::http::ServerOptions server_options;
  server_options.listen = options.listen;
  if (!options.group.empty()) {
    POUCH_ASSIGN_OR_RETURN(server_options.group, pouch::pouchd::find_group(options.group));
  }
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<pouch::Engine> engine, pouch::pouchd::make_engine(options));
  pouch::http::DisconnectWatch watch;
  pouch::http::ApiHandler handler(*engine, watch);
  server_options.on_stop_timeout = [&watch] { watch.fire_all(); };
  POUCH_ASSIGN_OR_RETURN(
      const std::unique_ptr<pouch::http::Server> server,
      pouch::http::Server::start(std::move(server_options),
                                 [&handler](pouch::http::Exchange& exchange) { handler.serve(exchange); }));
  for (const std::string& address : server->addresses()) pouch::log_info("pouchd", "listening on " + address);
  pouch::pouchd::notify_service_manager("READY=1");
  pouch::pouchd::wait_for_stop();
  pouch::log_info("pouchd", "stopping");
  pouch::pouchd::notify_service_manager("STOPPING=1");
  server->stop();
  return {};
}

int run(int argc, char** argv) {
  const auto line = pouch::pouchd::parse_command_line(argc, argv);
  if (!line.is_ok()) {
    std::fprintf(stderr, "pouchd: %s\n", line.status().message().c_str());
    return 2;
  }
  if (line->is_done) return 0;
  pouch::pouchd::block_stop_signals();
  const auto level = line->options.debug ? pouch::LogLevel::kDebug : pouch::LogLevel::kInfo;
  pouch::add_log_sink(level, log_to_stderr);
  if (const Status status = serve(line->options); !status.is_ok()) {
    std::fprintf(stderr, "pouchd: %s\n", status.message().c_str());
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pouchd: %s\n", error.what());
    return 1;
  }
}
