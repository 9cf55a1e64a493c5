#include "core/registry/reference.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/text.h"

namespace pouch {
namespace {

constexpr std::string_view kDefaultDomain = "docker.io";
constexpr std::string_view kLegacyDomain = "index.docker.io";
constexpr std::string_view kOfficialPrefix = "library/";
constexpr std::string_view kDefaultTag = "latest";
constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxTagBytes = 128;
constexpr size_t kHexDigestChars = 64;

bool is_lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_alnum(char c) {
  return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

bool is_word(char c) {
  return is_alnum(c) || c == '_';
}

Status bad_format(std::string_view text, std::string_view why = {}) {
  std::string message = "invalid reference format";
  if (!why.empty()) message.append(": ").append(why);
  return invalid_argument(message + ": " + quote(text));
}

// One "/"-separated piece of a path: runs of [a-z0-9] parted by one of ".", "_", "__" or any number of "-".
bool is_path_component(std::string_view text) {
  size_t at = 0;
  while (true) {
    const size_t start = at;
    while (at < text.size() && is_lower_alnum(text[at])) ++at;
    if (at == start) return false;
    if (at == text.size()) return true;
    const char separator = text[at];
    size_t length = 0;
    while (at < text.size() && text[at] == separator) {
      ++at;
      ++length;
    }
    const bool ok =
        separator == '-' || (separator == '.' && length == 1) || (separator == '_' && length <= 2);
    if (!ok) return false;
  }
}

bool is_path(std::string_view text) {
  return std::ranges::all_of(split(text, '/'),
                             [](const std::string& part) { return is_path_component(part); });
}

// A label of a host name: letters, digits and inner dashes.
bool is_host_label(std::string_view text) {
  if (text.empty() || !is_alnum(text.front()) || !is_alnum(text.back())) return false;
  return std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_port(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// host[:port], where host is a name, an IPv4 address or an IPv6 address in brackets.
bool is_domain(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos || end < 2) return false;
    const std::string_view address = text.substr(1, end - 1);
    const bool hex = std::ranges::all_of(address, [](char c) {
      return c == ':' || is_hex(std::string_view(&c, 1)) || (c >= 'A' && c <= 'F');
    });
    const std::string_view rest = text.substr(end + 1);
    return hex && (rest.empty() || (rest.front() == ':' && is_port(rest.substr(1))));
  }
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos && !is_port(text.substr(colon + 1))) return false;
  return std::ranges::all_of(split(text.substr(0, colon), '.'),
                             [](const std::string& label) { return is_host_label(label); });
}

// Docker's rule of what is a registry and what the first folder of a Hub path: a dot, a port, an upper-case
// letter or the name localhost makes it a registry.
bool looks_like_domain(std::string_view first) {
  return first.find_first_of(".:") != std::string_view::npos || first == "localhost" ||
         std::ranges::any_of(first, [](char c) { return c >= 'A' && c <= 'Z'; });
}

// What Docker takes for the id of an image and for no name.
bool is_whole_id(std::string_view text) {
  return text.size() == kHexDigestChars && is_hex(text);
}

struct NameParts {
  std::string domain;
  std::string path;
};

NameParts split_domain(std::string_view name) {
  const size_t slash = name.find('/');
  NameParts parts;
  if (slash == std::string_view::npos || !looks_like_domain(name.substr(0, slash))) {
    parts = {std::string(kDefaultDomain), std::string(name)};
  } else {
    parts = {std::string(name.substr(0, slash)), std::string(name.substr(slash + 1))};
  }
  if (parts.domain == kLegacyDomain) parts.domain = kDefaultDomain;
  if (parts.domain == kDefaultDomain && parts.path.find('/') == std::string::npos) {
    parts.path.insert(0, kOfficialPrefix);
  }
  return parts;
}

Status check_name(std::string_view text, const NameParts& parts) {
  if (to_lower(parts.path) != parts.path) return bad_format(text, "repository name must be lowercase");
  if (!is_domain(parts.domain) || !is_path(parts.path)) return bad_format(text);
  if (parts.domain.size() + 1 + parts.path.size() > kMaxNameBytes) {
    return bad_format(text, "repository name must not be more than 255 characters");
  }
  return {};
}

}  // namespace

Result<std::optional<Reference>> name_of_new_image(const std::optional<std::string>& repo,
                                                   const std::optional<std::string>& tag) {
  const bool has_tag = tag && !tag->empty();
  if (!repo || repo->empty()) {
    if (has_tag) return invalid_argument("tag: there is no name that it could be of");
    return std::optional<Reference>();
  }
  POUCH_ASSIGN_OR_RETURN(Reference name, Reference::parse(*repo));
  if (!name.digest().empty()) return invalid_argument("cannot import digest reference: " + quote(*repo));
  if (has_tag) {
    if (!name.tag().empty()) return invalid_argument("tag: " + quote(*repo) + " has a tag already");
    POUCH_ASSIGN_OR_RETURN(name, Reference::from_repo_and_tag(*repo, *tag));
  }
  return std::optional<Reference>(name.with_default_tag());
}

bool is_valid_tag(std::string_view tag) {
  if (tag.empty() || tag.size() > kMaxTagBytes || !is_word(tag.front())) return false;
  return std::ranges::all_of(tag, [](char c) { return is_word(c) || c == '.' || c == '-'; });
}

Result<Reference> Reference::parse(std::string_view text) {
  if (text.empty()) return bad_format(text);
  if (is_whole_id(text)) {
    return invalid_argument("invalid repository name (" + std::string(text) +
                            "), cannot specify 64-byte hexadecimal strings");
  }
  Reference out;
  std::string_view rest = text;
  if (const size_t at = rest.find('@'); at != std::string_view::npos) {
    const std::string_view digest = rest.substr(at + 1);
    if (!is_digest(digest)) return bad_format(text, "the digest is not sha256 and 64 hex digits");
    out.digest_ = Digest(std::string(digest));
    rest = rest.substr(0, at);
  }
  // A colon after the last slash starts the tag; one before it belongs to the registry's port.
  const size_t colon = rest.rfind(':');
  const size_t slash = rest.rfind('/');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    out.tag_ = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!is_valid_tag(out.tag_)) return bad_format(text, "bad tag");
  }
  NameParts parts = split_domain(rest);
  POUCH_RETURN_IF_ERROR(check_name(text, parts));
  out.domain_ = std::move(parts.domain);
  out.path_ = std::move(parts.path);
  return out;
}

Result<Reference> Reference::from_repo_and_tag(std::string_view repo, std::string_view tag) {
  POUCH_ASSIGN_OR_RETURN(Reference out, parse(repo));
  if (!out.is_name_only()) {
    return invalid_argument("the repository " + quote(repo) + " must not hold a tag or a digest");
  }
  out.tag_ = tag.empty() ? kDefaultTag : tag;
  if (!is_valid_tag(out.tag_))
    return bad_format(out.familiar_repository() + ":" + std::string(tag), "bad tag");
  return out;
}

Reference Reference::with_default_tag() const {
  Reference out = *this;
  if (out.is_name_only()) out.tag_ = kDefaultTag;
  return out;
}

Reference Reference::with_digest(Digest digest) const {
  Reference out = *this;
  out.tag_.clear();
  out.digest_ = std::move(digest);
  return out;
}

std::string Reference::familiar_repository() const {
  if (domain_ != kDefaultDomain) return repository();
  const std::string_view path = path_;
  if (!path.starts_with(kOfficialPrefix) ||
      path.find('/', kOfficialPrefix.size()) != std::string_view::npos) {
    // "docker.io/localhost/x" without its domain would be another registry's.
    return looks_like_domain(path.substr(0, path.find('/'))) ? repository() : path_;
  }
  const std::string_view name = path.substr(kOfficialPrefix.size());
  return is_name_only() && is_whole_id(name) ? path_ : std::string(name);
}

std::string Reference::suffix() const {
  std::string out;
  if (!tag_.empty()) out += ":" + tag_;
  if (!digest_.empty()) out += "@" + digest_.str();
  return out;
}

}  // namespace pouch
