#include "core/spec/security.h"

#include "core/base/text.h"

namespace pouch::spec {
namespace {

// Docker's profile format has conditions that OCI's has not; the plain part is the same.
Result<Json> profile_of(const std::string& text) {
  Result<Json> parsed = parse_json(text);
  if (!parsed.is_ok() || !parsed->isObject() || !parsed->isMember("defaultAction")) {
    return invalid_argument("Decoding seccomp profile failed: not a profile document");
  }
  for (const Json& rule : (*parsed)["syscalls"]) {
    for (const char* condition : {"includes", "excludes"}) {
      if (rule.isMember(condition) && !rule[condition].empty()) {
        return not_implemented("HostConfig.SecurityOpt: seccomp profile: rules with \"" +
                               std::string(condition) + "\" are not supported");
      }
    }
  }
  return parsed;
}

Status apply(const std::string& option, SecurityOptions& out) {
  if (option == "no-new-privileges") {
    out.no_new_privileges = true;
    return {};
  }
  // Old clients write "key:value".
  const size_t at = option.find('=') != std::string::npos ? option.find('=') : option.find(':');
  if (at == std::string::npos) return invalid_argument("invalid --security-opt 1: " + quote(option));
  const std::string key = option.substr(0, at);
  const std::string value = option.substr(at + 1);
  if (key == "no-new-privileges") {
    if (value != "true" && value != "false") {
      return invalid_argument("invalid --security-opt 2: " + quote(option));
    }
    out.no_new_privileges = value == "true";
  } else if (key == "seccomp" && value == "unconfined") {
    out.seccomp_unconfined = true;
  } else if (key == "seccomp" && (value == "builtin" || value.empty())) {
    out.seccomp_profile.reset();
  } else if (key == "seccomp") {
    POUCH_ASSIGN_OR_RETURN(out.seccomp_profile, profile_of(value));
  } else if (key == "systempaths" && value == "unconfined") {
    out.systempaths_unconfined = true;
  } else if (key == "apparmor" && value == "unconfined") {
    // nothing confines it
  } else if (key == "label" && value == "disable") {
    // nothing labels it
  } else if (key == "apparmor" || key == "label") {
    return not_implemented("HostConfig.SecurityOpt: " + quote(option) + ": " + key + " is not supported");
  } else {
    return invalid_argument("invalid --security-opt 2: " + quote(option));
  }
  return {};
}

}  // namespace

Result<SecurityOptions> parse_security(const api::HostConfig& host) {
  SecurityOptions out;
  for (const std::string& option : host.security_opt.value_or(std::vector<std::string>{})) {
    POUCH_RETURN_IF_ERROR(apply(option, out));
  }
  return out;
}

}  // namespace pouch::spec
