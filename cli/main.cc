#include <exception>

#include "cli/context.h"
#include "cli/options.h"

namespace pouch::cli {
namespace {

constexpr const char* kVersion = POUCH_VERSION;

struct Globals {
  std::string host;
  uint32_t log_level = 0;  // a POUCH_LOG_ level
  bool debug = false;
  bool version = false;
  bool session = false;
};

uint32_t parse_log_level(const std::string& text) {
  if (text == "debug") return POUCH_LOG_DEBUG;
  if (text == "info") return POUCH_LOG_INFO;
  if (text == "warn" || text == "warning") return POUCH_LOG_WARNING;
  if (text == "error" || text == "fatal") return POUCH_LOG_ERROR;
  throw BadValue("must be one of \"debug\", \"info\", \"warn\", \"error\", \"fatal\"");
}

int run(const Console& console, const std::vector<std::string>& args) {
  Globals globals;
  Options options("pouch", "COMMAND", "A container engine that is a library first", {0, SIZE_MAX});
  options.stop_at_first_argument();
  options.text("-H, --host", &globals.host, "uri", "Engine to use");
  options.flag("-D, --debug", &globals.debug, "Enable debug mode");
  options.flag("--session", &globals.session, "Remove all that the command makes when it ends");
  options.flag("-v, --version", &globals.version, "Print version information and quit");
  options.value("-l, --log-level", "string", "Log to stderr",
                [&](const std::string& text) { globals.log_level = parse_log_level(text); });
  const std::optional<std::vector<std::string>> words = options.parse(args);
  if (globals.version) {
    console.out_line(std::string("Pouch version ") + kVersion + ", libpouch " + pouch_version());
    return 0;
  }
  if (globals.debug && globals.log_level == 0) globals.log_level = POUCH_LOG_DEBUG;
  Context context(console, globals.host, globals.log_level, globals.session);
  return dispatch(context, words.value_or(std::vector<std::string>()));
}

}  // namespace
}  // namespace pouch::cli

int main(int argc, char** argv) {
  const pouch::cli::Console console(0, 1, 2);
  try {
    return pouch::cli::run(console, {argv + 1, argv + argc});
  } catch (const pouch::cli::Exit& exit) {
    const std::string_view text = exit.what();
    if (!text.empty()) console.err_line(text);
    return exit.code();
  } catch (const std::exception& error) {
    console.err_line(std::string("pouch: ") + error.what());
    return pouch::cli::kExitError;
  }
}
