#include "cli/commands/commands.h"
#include "cli/commands/common.h"
#include "cli/prompt.h"

namespace pouch::cli {
namespace {

constexpr const char* kHub = "docker.io";

struct LoginFlags {
  std::string user;
  std::string password;
  bool reads_password = false;
};

void check_flags(const LoginFlags& flags) {
  if (!flags.password.empty() && flags.reads_password)
    throw Exit(kExitError, "--password and --password-stdin are mutually exclusive");
  if (flags.reads_password && flags.user.empty())
    throw Exit(kExitError, "the --password-stdin option requires --username to be set");
}

void complete(const Console& console, LoginFlags& flags) {
  if (!flags.password.empty()) {
    console.err_line("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
  }
  if (flags.reads_password) {
    flags.password = read_secret(console);
    if (flags.password.empty()) throw Exit(kExitError, "password is empty");
  }
  const bool is_whole = !flags.user.empty() && !flags.password.empty();
  if (!is_whole && !console.in_is_terminal())
    throw Exit(kExitError, "Error: Cannot perform an interactive login from a non TTY device");
  if (flags.user.empty()) flags.user = ask_line(console, "Username: ", false);
  if (flags.user.empty()) throw Exit(kExitError, "Error: Non-null Username Required");
  if (flags.password.empty()) flags.password = ask_line(console, "Password: ", true);
  if (flags.password.empty()) throw Exit(kExitError, "Error: Password Required");
}

std::string registry_name(const Words& arguments) {
  if (arguments.empty() || arguments.front().empty()) return kHub;
  std::string name = arguments.front();
  const size_t scheme = name.find("://");
  if (scheme != std::string::npos) name = name.substr(scheme + 3);
  return name.substr(0, name.find('/'));
}

}  // namespace

int login_command(Context& context, const Invocation& invocation) {
  LoginFlags flags;
  Options options(invocation.command, "[OPTIONS] [SERVER]", "Authenticate to a registry", {0, 1});
  options.text("-p, --password", &flags.password, "string", "Password or Personal Access Token (PAT)");
  options.flag("--password-stdin", &flags.reads_password,
               "Take the Password or Personal Access Token (PAT) from stdin");
  options.text("-u, --username", &flags.user, "string", "Username");
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  check_flags(flags);
  const std::string registry = registry_name(*arguments);
  complete(context.console(), flags);
  Json::Value account(Json::objectValue);
  account["username"] = flags.user;
  account["password"] = flags.password;
  account["serveraddress"] = registry;
  const Json::Value answer = context.client().call("system.login", {}, {}, account);
  if (const std::string token = answer["IdentityToken"].asString(); !token.empty()) {
    account["identitytoken"] = token;
    account.removeMember("password");
  }
  store_account(registry, account);
  context.console().out_line(sanitised(answer["Status"].asString()));
  return 0;
}

int logout_command(Context& context, const Invocation& invocation) {
  Options options(invocation.command, "[SERVER]", "Log out from a registry", {0, 1});
  const std::optional<Words> arguments = options.parse(invocation.args);
  if (!arguments) {
    context.console().out(options.help());
    return 0;
  }
  const std::string registry = registry_name(*arguments);
  if (erase_account(registry)) {
    context.console().out_line("Removing login credentials for " + sanitised(registry));
  } else {
    context.console().out_line("Not logged in to " + sanitised(registry));
  }
  return 0;
}

}  // namespace pouch::cli
