#include <vector>

#include "cli/flag_values.h"
#include "cli/options.h"

namespace pouch::cli {
namespace {

// The fields of a line of comma-separated values; a field in double quotes may hold commas.
std::vector<std::string> csv_fields(const std::string& text) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      fields.back() += text[++i];
    } else if (c == '"' && (quoted || fields.back().empty())) {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (quoted) throw BadValue("unterminated quote in '" + text + "'");
  return fields;
}

bool truth_of(const std::string& key, const std::string& value) {
  try {
    return parse_bool(value);
  } catch (const BadValue&) {
    throw BadValue("invalid value for " + key + ": " + value);
  }
}

void set_recursion(Json::Value& mount, const std::string& value) {
  Json::Value& options = mount["BindOptions"];
  if (value == "enabled") return;
  if (value == "disabled") {
    options["NonRecursive"] = true;
  } else if (value == "writable") {
    options["ReadOnlyNonRecursive"] = true;
  } else if (value == "readonly") {
    options["ReadOnlyForceRecursive"] = true;
  } else {
    throw BadValue("invalid value for bind-recursive: " + value +
                   " (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")");
  }
}

void set_octal_mode(Json::Value& mount, const std::string& value) {
  if (value.empty() || value.size() > 5 || value.find_first_not_of("01234567") != std::string::npos) {
    throw BadValue("invalid value for tmpfs-mode: " + value);
  }
  mount["TmpfsOptions"]["Mode"] = Json::Int64(std::stoll(value, nullptr, 8));
}

// Keys of one kind of mount. False for an unknown key.
bool set_special(Json::Value& mount, const std::string& key, const std::string& value) {
  if (key == "bind-propagation") {
    mount["BindOptions"]["Propagation"] = value;
  } else if (key == "bind-nonrecursive") {
    mount["BindOptions"]["NonRecursive"] = truth_of(key, value);
  } else if (key == "bind-recursive") {
    set_recursion(mount, value);
  } else if (key == "bind-create-src") {
    mount["BindOptions"]["CreateMountpoint"] = truth_of(key, value);
  } else if (key == "volume-nocopy") {
    mount["VolumeOptions"]["NoCopy"] = truth_of(key, value);
  } else if (key == "volume-subpath") {
    mount["VolumeOptions"]["Subpath"] = value;
  } else if (key == "volume-label") {
    const auto [name, text] = parse_pair(value);
    mount["VolumeOptions"]["Labels"][name] = text;
  } else if (key == "volume-driver") {
    mount["VolumeOptions"]["DriverConfig"]["Name"] = value;
  } else if (key == "volume-opt") {
    const auto [name, text] = parse_pair(value);
    mount["VolumeOptions"]["DriverConfig"]["Options"][name] = text;
  } else if (key == "image-subpath") {
    mount["ImageOptions"]["Subpath"] = value;
  } else if (key == "tmpfs-size") {
    mount["TmpfsOptions"]["SizeBytes"] = Json::Int64(parse_bytes(value));
  } else if (key == "tmpfs-mode") {
    set_octal_mode(mount, value);
  } else {
    return false;
  }
  return true;
}

void set(Json::Value& mount, const std::string& key, const std::string& value, const std::string& field) {
  if (key == "type") {
    mount["Type"] = value;
  } else if (key == "source" || key == "src") {
    mount["Source"] = value;
  } else if (key == "target" || key == "dst" || key == "destination") {
    mount["Target"] = value;
  } else if (key == "readonly" || key == "ro") {
    mount["ReadOnly"] = truth_of(key, value);
  } else if (key == "consistency") {
    mount["Consistency"] = value;
  } else if (!set_special(mount, key, value)) {
    throw BadValue("unexpected key '" + key + "' in '" + field + "'");
  }
}

// The docker CLI's rules.
void check_recursion(const Json::Value& mount) {
  const Json::Value& options = mount["BindOptions"];
  const auto needs = [&](const char* value, const char* other) {
    return BadValue("option 'bind-recursive=" + std::string(value) + "' requires '" + other +
                    "' to be specified in conjunction");
  };
  const bool is_read_only = mount["ReadOnly"].asBool();
  if (options["ReadOnlyNonRecursive"].asBool() && !is_read_only) throw needs("writable", "readonly");
  if (!options["ReadOnlyForceRecursive"].asBool()) return;
  if (!is_read_only) throw needs("readonly", "readonly");
  if (options["Propagation"] != "rprivate") throw needs("readonly", "bind-propagation=rprivate");
}

void check(const Json::Value& mount) {
  const std::string type = mount["Type"].asString();
  if (type.empty()) throw BadValue("type is required");
  if (!mount.isMember("Target")) throw BadValue("target is required");
  const std::pair<const char*, const char*> specials[] = {{"BindOptions", "bind"},
                                                          {"VolumeOptions", "volume"},
                                                          {"ImageOptions", "image"},
                                                          {"TmpfsOptions", "tmpfs"}};
  for (const auto& [options, owner] : specials) {
    if (mount.isMember(options) && type != owner) {
      throw BadValue("cannot mix '" + std::string(owner) + "-*' options with mount type '" + type + "'");
    }
  }
  check_recursion(mount);
  if (type == "tmpfs" && mount.isMember("Source")) throw BadValue("source is not allowed for tmpfs");
}

}  // namespace

Json::Value parse_mount(const std::string& text) {
  Json::Value mount;
  mount["Type"] = "volume";
  for (const std::string& field : csv_fields(text)) {
    auto [key, value] = parse_pair(field);
    if (field.find('=') == std::string::npos) {
      const bool is_switch = key == "readonly" || key == "ro" || key == "volume-nocopy" ||
                             key == "bind-nonrecursive" || key == "bind-create-src";
      if (!is_switch) throw BadValue("invalid field '" + field + "' must be a key=value pair");
      value = "true";
    }
    set(mount, key, value, field);
  }
  check(mount);
  return mount;
}

}  // namespace pouch::cli
