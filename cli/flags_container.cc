#include "cli/flags_container.h"

#include <algorithm>
#include <filesystem>

#include "cli/flag_values.h"

namespace pouch::cli {
namespace {

Json::Value text_array(const std::vector<std::string>& texts) {
  Json::Value out(Json::arrayValue);
  for (const std::string& text : texts) out.append(text);
  return out;
}

}  // namespace

Json::Value ContainerFlags::create_options() const {
  Json::Value out(Json::objectValue);
  if (!name.empty()) out["name"] = name;
  if (!platform.empty()) out["platform"] = platform;
  return out;
}

void ContainerFlags::check_pull() const {
  if (pull != "always" && pull != "missing" && pull != "never") {
    throw Exit(kExitUsage,
               "invalid pull option: '" + pull + "': must be one of \"always\", \"missing\" or \"never\"");
  }
}

Json::Value ContainerFlags::config(const std::vector<std::string>& arguments, bool detached) const {
  Json::Value config = config_;
  Json::Value host = host_;
  config["Image"] = arguments.front();
  if (arguments.size() > 1) config["Cmd"] = text_array({arguments.begin() + 1, arguments.end()});
  // An empty --entrypoint stands for none at all, unlike no --entrypoint.
  if (entrypoint_) config["Entrypoint"] = text_array({*entrypoint_});
  if (tty) config["Tty"] = true;
  set_attached(config, detached);
  set_environment(config);
  set_labels(config);
  set_volumes(config, host);
  set_security(host);
  set_network(config, host);
  set_health(config);
  if (auto_remove) {
    const std::string restart = host_["RestartPolicy"]["Name"].asString();
    if (!restart.empty() && restart != "no") {
      throw Exit(kExitUsage, "conflicting options: cannot specify both --restart and --rm");
    }
    host["AutoRemove"] = true;
  }
  if (!id_file.empty()) host["ContainerIDFile"] = id_file;
  if (!log_.empty()) host["LogConfig"] = log_;
  config["HostConfig"] = host;
  return config;
}

void ContainerFlags::set_attached(Json::Value& config, bool detached) const {
  const auto has = [&](const char* stream) {
    return std::find(attach.begin(), attach.end(), stream) != attach.end();
  };
  const bool by_default = attach.empty() && !detached;
  config["AttachStdin"] = has("stdin") || (by_default && interactive);
  config["AttachStdout"] = has("stdout") || by_default;
  config["AttachStderr"] = has("stderr") || by_default;
  if (!interactive) return;
  config["OpenStdin"] = true;
  config["StdinOnce"] = config["AttachStdin"].asBool();
}

void ContainerFlags::set_environment(Json::Value& config) const {
  std::vector<std::string> all;
  for (const std::string& file : env_files_) {
    for (const std::string& line : read_lines(file, true)) all.push_back(line);
  }
  all.insert(all.end(), env_.begin(), env_.end());
  if (!all.empty()) config["Env"] = text_array(all);
}

void ContainerFlags::set_labels(Json::Value& config) const {
  std::vector<std::string> all;
  for (const std::string& file : label_files_) {
    for (const std::string& line : read_lines(file, false)) all.push_back(line);
  }
  all.insert(all.end(), labels_.begin(), labels_.end());
  for (const std::string& label : all) {
    const auto [key, value] = parse_pair(label);
    config["Labels"][key] = value;
  }
}

void ContainerFlags::set_volumes(Json::Value& config, Json::Value& host) const {
  for (const std::string& volume : volumes_) {
    const size_t colon = volume.find(':');
    if (colon == std::string::npos) {
      config["Volumes"][volume] = Json::Value(Json::objectValue);
      continue;
    }
    std::string source = volume.substr(0, colon);
    // Relative to the folder of the caller; the engine knows only its own.
    if (source.starts_with(".")) {
      source = std::filesystem::absolute(source).lexically_normal().string();
      if (source.size() > 1 && source.ends_with("/")) source.pop_back();
    }
    host["Binds"].append(source + volume.substr(colon));
  }
}

void ContainerFlags::set_security(Json::Value& host) const {
  for (const std::string& option : security_) {
    if (option == "systempaths=unconfined" || option == "systempaths:unconfined") {
      host["MaskedPaths"] = Json::Value(Json::arrayValue);
      host["ReadonlyPaths"] = Json::Value(Json::arrayValue);
      continue;
    }
    try {
      host["SecurityOpt"].append(parse_security_opt(option));
    } catch (const BadValue& bad) {
      throw Exit(kExitUsage, bad.what());
    }
  }
}

void ContainerFlags::set_network(Json::Value& config, Json::Value& host) const {
  Json::Value main = endpoint_;
  if (!addresses_.empty()) main["IPAMConfig"] = addresses_;
  if (networks_.empty() && main.empty()) return;
  Json::Value endpoints(Json::objectValue);
  std::string first = networks_.empty() ? "default" : "";
  for (const std::string& text : networks_) {
    Json::Value endpoint;
    std::string network;
    try {
      network = parse_network(text, endpoint);
    } catch (const BadValue& bad) {
      throw Exit(kExitUsage,
                 std::string("invalid argument \"") + text + "\" for \"--network\" flag: " + bad.what());
    }
    if (first.empty()) first = network;
    endpoints[network] = endpoint;
  }
  host["NetworkMode"] = first;
  const bool is_user_defined = first != "default" && first != "bridge" && first != "host" &&
                               first != "none" && !first.starts_with("container:");
  // Its names are the network's affair, not the engine's environment.
  if (is_user_defined && host.isMember("Links")) main["Links"] = host["Links"];
  Json::Value& endpoint = endpoints[first];
  for (const std::string& key : main.getMemberNames()) {
    const bool is_twice = endpoint.isMember(key) && key != "IPAMConfig";
    if (is_twice)
      throw Exit(kExitUsage, "conflicting options: cannot specify both --network and its own flag");
    for (const std::string& part :
         key == "IPAMConfig" ? main[key].getMemberNames() : std::vector<std::string>())
      endpoint[key][part] = main[key][part];
    if (key != "IPAMConfig") endpoint[key] = main[key];
  }
  if (networks_.size() < 2 && endpoint.empty()) return;
  config["NetworkingConfig"]["EndpointsConfig"] = endpoints;
}

void ContainerFlags::set_health(Json::Value& config) const {
  if (no_health_check_ && (health_command_ || !health_.empty())) {
    throw Exit(kExitUsage, "--no-healthcheck conflicts with --health-* options");
  }
  if (no_health_check_) {
    config["Healthcheck"]["Test"].append("NONE");
    return;
  }
  if (!health_.empty()) config["Healthcheck"] = health_;
  if (!health_command_) return;
  config["Healthcheck"]["Test"] = text_array({"CMD-SHELL", *health_command_});
}

}  // namespace pouch::cli
