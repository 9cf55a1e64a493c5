#include "core/cni/attachment.h"

#include <algorithm>
#include <cctype>

#include "core/base/text.h"

namespace pouch::cni {
namespace {

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

// As the kernel has them (dev_valid_name in net/core/dev.c).
bool is_link_name(const std::string& name) {
  constexpr size_t kMost = 15;
  if (name.empty() || name.size() > kMost || name == "." || name == "..") return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    return c == '/' || c == ':' || c == '\0' || std::isspace(static_cast<unsigned char>(c)) != 0;
  });
}

// CNI_ARGS knows no escapes.
bool fits_args(const std::string& text, const std::string& separators) {
  return text.find_first_of(separators) == std::string::npos && text.find('\0') == std::string::npos;
}

}  // namespace

bool is_valid_name(const std::string& text) {
  if (text.empty() || !is_plain(text.front())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_plain(c) || c == '_' || c == '.' || c == '-'; });
}

Status check_attachment(const Attachment& attachment) {
  if (!is_valid_name(attachment.container_id)) {
    return invalid_argument("CNI: " + quote(attachment.container_id) + " cannot be a container's id");
  }
  if (!is_link_name(attachment.ifname)) {
    return invalid_argument("CNI: " + quote(attachment.ifname) + " cannot be a link's name");
  }
  if (attachment.netns.find('\0') != std::string::npos) {
    return invalid_argument("CNI: " + quote(attachment.netns) + " cannot be a network namespace's path");
  }
  for (const auto& [key, value] : attachment.args) {
    if (!key.empty() && fits_args(key, ";=") && fits_args(value, ";")) continue;
    return invalid_argument("CNI: the argument " + quote(key) + "=" + quote(value) + " has ';' or '=' in it");
  }
  if (!attachment.capabilities.isObject() && !attachment.capabilities.isNull()) {
    return invalid_argument("CNI: capabilities that are no object");
  }
  return {};
}

}  // namespace pouch::cni
