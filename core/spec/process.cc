#include "core/spec/process.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/spec/capabilities.h"

namespace pouch::spec {
namespace {

constexpr std::string_view kDefaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Json string_array(const std::vector<std::string>& list) {
  Json out = json_array();
  for (const std::string& text : list) out.append(text);
  return out;
}

Json user_json(const User& user) {
  Json out = json_object();
  out["uid"] = user.uid;
  out["gid"] = user.gid;
  if (!user.additional_gids.empty()) {
    out["additionalGids"] = json_array();
    for (const uint32_t gid : user.additional_gids) out["additionalGids"].append(gid);
  }
  return out;
}

// Without CAP_SYS_RESOURCE a limit cannot go above ours: lower it and say so rather than fail.
uint64_t clamp_limit(const std::string& name, uint64_t wanted, const HostFacts& facts,
                     std::vector<std::string>& warnings) {
  const auto bound = facts.rlimit_max.find(name);
  if (bound == facts.rlimit_max.end() || wanted <= bound->second) return wanted;
  warnings.push_back("Your host does not allow " + name + " above " + std::to_string(bound->second) +
                     ". Limit lowered from " + std::to_string(wanted) + ".");
  return bound->second;
}

Result<Json> rlimits_of(const api::HostConfig& host, const HostFacts& facts,
                        std::vector<std::string>& warnings) {
  Json out = json_array();
  for (const api::Ulimit& limit : host.ulimits.value_or(std::vector<api::Ulimit>{})) {
    std::string name = limit.name.value_or("");
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    if (!name.starts_with("RLIMIT_")) name = "RLIMIT_" + name;
    Json row = json_object();
    row["type"] = name;
    // -1 is "unlimited".
    row["soft"] =
        ::Json::UInt64{clamp_limit(name, static_cast<uint64_t>(limit.soft.value_or(0)), facts, warnings)};
    row["hard"] =
        ::Json::UInt64{clamp_limit(name, static_cast<uint64_t>(limit.hard.value_or(0)), facts, warnings)};
    out.append(std::move(row));
  }
  return out;
}

Json capabilities_json(const std::vector<std::string>& names, bool is_root) {
  Json out = json_object();
  out["bounding"] = string_array(names);
  if (is_root) {  // another user gets them from files only, inside the bounding set
    out["effective"] = string_array(names);
    out["permitted"] = string_array(names);
  }
  return out;
}

}  // namespace

std::vector<std::string> build_environment(const std::string& hostname, bool tty,
                                           const std::vector<std::string>& env) {
  std::vector<std::string> out = {std::string(kDefaultPath)};
  if (!hostname.empty()) out.push_back("HOSTNAME=" + hostname);
  if (tty) out.emplace_back("TERM=xterm");
  for (const std::string& entry : env) {
    const size_t equals = entry.find('=');
    const std::string key = entry.substr(0, equals) + "=";
    std::erase_if(out, [&](const std::string& old) { return old.starts_with(key); });
    if (equals != std::string::npos) out.push_back(entry);  // a bare name removes
  }
  return out;
}

Result<Json> build_process(const ProcessInput& input, const api::HostConfig& host, const HostFacts& facts,
                           std::vector<std::string>& warnings, std::vector<std::string>& capabilities) {
  POUCH_ASSIGN_OR_RETURN(CapabilitySet set, resolve_capabilities(host, input.privileged, facts.capabilities));
  for (const std::string& name : set.missing) {
    warnings.push_back("Your host does not allow the capability " + name + ". Capability dropped.");
  }
  capabilities = set.names;
  Json out = json_object();
  out["terminal"] = input.tty;
  if (input.tty && input.console_size.size() == 2) {
    out["consoleSize"]["height"] = ::Json::UInt64{input.console_size[0]};
    out["consoleSize"]["width"] = ::Json::UInt64{input.console_size[1]};
  }
  out["user"] = user_json(input.user);
  out["args"] = string_array(input.args);
  out["env"] = string_array(input.env);
  out["cwd"] = input.cwd.empty() ? "/" : input.cwd;
  out["capabilities"] = capabilities_json(set.names, input.user.uid == 0);
  POUCH_ASSIGN_OR_RETURN(Json rlimits, rlimits_of(host, facts, warnings));
  if (!rlimits.empty()) out["rlimits"] = std::move(rlimits);
  if (input.no_new_privileges) out["noNewPrivileges"] = true;
  if (const int64_t wanted = host.oom_score_adj.value_or(0); wanted != 0) {
    const int64_t score = std::max(wanted, facts.oom_score_adj_min);
    if (score != wanted) {
      warnings.push_back("Your host does not allow an oom_score_adj below " + std::to_string(score) +
                         ". Raised from " + std::to_string(wanted) + ".");
    }
    out["oomScoreAdj"] = ::Json::Int64{score};
  }
  return out;
}

}  // namespace pouch::spec
