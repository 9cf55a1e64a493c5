// What registries and their token servers say, and the accounts in config.json. The first byte tells which.
//
// A header: its challenges hold their grammar's bytes only and are found again when they are written as the
// RFC has it; the request that one leads to goes to its realm and nowhere else, keeps the password out of the
// URL and has no line breaks in its headers. A token answer: the token fits into a header, and is good for a
// minute to an hour. config.json: an account that was set is read again, and the others are what they were.

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/base64.h"
#include "core/base/text.h"
#include "core/registry/challenge.h"
#include "core/registry/docker_config.h"
#include "core/registry/token_text.h"
#include "core/registry/url.h"
#include "tests/fuzz/fuzz.h"

namespace pouch::fuzz {
namespace {

using namespace registry;

constexpr std::string_view kToken = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~";
constexpr std::string_view kSecret = "S3cret/\x01\xff";

std::string written(const Challenge& challenge) {
  std::string out = challenge.scheme;
  for (const auto& [name, value] : challenge.parameters) {
    out += out == challenge.scheme ? " " : ", ";
    out += name + "=\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out;
}

void check_request(const Challenge& challenge, const std::optional<Credentials>& account) {
  const std::optional<Url> realm = parse_url(parameter(challenge, "realm"));
  if (!realm) return;
  const HttpRequest request = token_request(challenge, account, true);
  const std::optional<Url> url = parse_url(request.url);
  expect(url && is_same_origin(*url, *realm), "a token request goes to the realm");
  expect(request.has_secret, "a token request is told to be secret");
  for (const std::string& header : request.headers)
    expect(header.find_first_of("\r\n") == std::string::npos, "a header has no line break");
  const bool knows_secret = parameter(challenge, "realm").find(escape(kSecret)) != std::string::npos ||
                            parameter(challenge, "service").find(kSecret) != std::string::npos ||
                            parameter(challenge, "scope").find(kSecret) != std::string::npos;
  expect(knows_secret || url->str().find(escape(kSecret)) == std::string::npos, "no URL holds a secret");
  const std::string service = parameter(challenge, "service");
  const std::string sent = request.body ? "?" + *request.body : url->target;
  expect(sent.find("service=" + escape(service)) != std::string::npos, "the service is named");
}

void check_header(std::string_view header) {
  std::string all;
  const std::vector<Challenge> challenges = parse_challenges(header);
  const std::array<std::optional<Credentials>, 3> accounts{std::nullopt,
                                                           Credentials{"user", std::string(kSecret), "", ""},
                                                           Credentials{"user", "", std::string(kSecret), ""}};
  for (const Challenge& challenge : challenges) {
    expect(!challenge.scheme.empty() && challenge.scheme.find_first_not_of(kToken) == std::string::npos,
           "a scheme is a token in lower case");
    for (const auto& [name, value] : challenge.parameters) {
      expect(!name.empty() && name.find_first_not_of(kToken) == std::string::npos,
             "a parameter's name is a token in lower case");
      expect(value.size() <= header.size(), "a value is not longer than the header");
    }
    for (const auto& account : accounts) check_request(challenge, account);
    all += (all.empty() ? "" : ", ") + written(challenge);
  }
  const std::vector<Challenge> again = parse_challenges(all);
  expect(again.size() == challenges.size(), "as many challenges when they are written anew");
  for (size_t i = 0; i < again.size(); ++i)
    expect(again[i].scheme == challenges[i].scheme && again[i].parameters == challenges[i].parameters,
           "the same challenges when they are written anew");
}

void check_answer(std::string_view text) {
  const auto granted = read_token(text, "realm");
  if (!granted.is_ok()) {
    expect(granted.code() == Code::kUnavailable, "a bad answer is Unavailable");
    return;
  }
  const std::string& token = granted->token.value;
  expect(!token.empty(), "a token is not empty");
  for (const char c : token)
    expect(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "a token fits into a header");
  expect(granted->seconds >= 60 && granted->seconds <= 3600, "a token is good for a minute to an hour");
}

bool is_same(const std::optional<Credentials>& a, const std::optional<Credentials>& b) {
  if (!a || !b) return !a && !b;
  return a->username == b->username && a->password == b->password && a->identity_token == b->identity_token &&
         a->registry_token == b->registry_token;
}

// A helper that has what it is asked for: the answer is the domain's.
Settings with_helper(std::string answer) {
  Settings settings;
  settings.docker_config = "/dev/null";  // no folder: no file
  settings.run_helper = [answer = std::move(answer)](const std::string& program, const std::string&,
                                                     const std::string&) -> Result<std::string> {
    expect(program.starts_with("docker-credential-"), "a helper has its prefix");
    if (answer.empty()) return not_found("no such account");
    return answer;
  };
  return settings;
}

// config.json; its first line is the answer of a helper.
void check_config(std::string_view helper, std::string_view json) {
  const Settings settings = with_helper(std::string(helper));
  expect(DockerConfig::load(settings).is_ok(), "there need not be a file");
  const auto before = DockerConfig::parse(json);
  if (!before.is_ok()) {
    expect(before.code() == Code::kInvalidArgument || before.code() == Code::kResourceExhausted,
           "a bad config.json is InvalidArgument");
    return;
  }
  for (const std::string domain : {"docker.io", "quay.io", "localhost:5000"}) {
    const auto old = before->account(domain, settings);
    const bool is_kept = !before->helper_of(domain).empty();
    const Credentials fresh{"user", std::string(kSecret), "", ""};
    const auto changed = with_account(json, domain, fresh, is_kept);
    if (!changed.is_ok()) continue;
    const auto after = DockerConfig::parse(changed->text);
    expect(after.is_ok(), "config.json can be read when it was changed");
    expect(after->helper_of(domain) == before->helper_of(domain), "helpers stay");
    if (!is_kept)
      expect(is_same(*after->account(domain, settings), fresh), "an account that was set is there");
    const auto erased = with_account(changed->text, domain, std::nullopt, is_kept);
    expect(erased.is_ok() && erased->had_account, "an account that was set can be erased");
    const auto last = DockerConfig::parse(erased->text);
    expect(last.is_ok() && (is_kept || !last->account(domain, settings)->has_value()),
           "an erased account is gone");
    for (const std::string other : {"docker.io", "quay.io", "localhost:5000", "ghcr.io"}) {
      const auto theirs = before->account(other, settings);
      if (other == domain || !theirs.is_ok()) continue;
      expect(is_same(*theirs, *last->account(other, settings)), "other accounts stay");
    }
    if (old.is_ok() && *old && !is_kept) expect(changed->had_account, "an account that was there is told");
  }
}

void check_url(std::string_view text) {
  const std::optional<Url> url = parse_url(text);
  if (!url) return;
  const std::optional<Url> again = parse_url(url->str());
  expect(again && *again == *url, "a URL parses to the same");
  expect(url->port() > 0 && url->port() < 65'536, "a port is one");
  expect(!url->name().empty() && url->host.find('@') == std::string::npos, "a host has no account");
  expect(url->target.empty() || url->target.front() == '/', "a target begins with a slash");
  for (const char c : url->str())
    expect(static_cast<unsigned char>(c) > 0x20 && c != 0x7f, "a URL has no blanks or control bytes");
  const std::optional<Url> more = parse_url(with_parameter(url->str(), "n", text));
  expect(more && is_same_origin(*more, *url), "a parameter changes no origin");
  if (url->target.empty() || url->target.front() != '/') return;
  const std::optional<Url> moved = resolve_location(*url, url->target);
  expect(!moved || is_same_origin(*moved, *url) || url->target.starts_with("//"), "a path stays on its host");
}

void check_location(std::string_view base, std::string_view location) {
  const std::optional<Url> url = parse_url(base);
  if (!url) return;
  const std::optional<Url> next = resolve_location(*url, location);
  if (next) check_url(next->str());
  const std::string shown = without_account(location);
  const size_t slashes = shown.find("://");
  if (slashes == std::string::npos) return;
  const std::string authority =
      shown.substr(slashes + 3, shown.find_first_of("/?#", slashes + 3) - slashes - 3);
  const size_t at = authority.rfind('@');
  expect(at == std::string::npos || authority.substr(0, at) == "xxxxx", "no message holds an account");
}

void check_base64(std::string_view text) {
  expect(base64_decode(base64_encode(text)) == text, "base64 gives what it was given");
  expect(base64_decode(base64url_encode(text)) == text, "base64url gives what it was given");
  const auto bytes = base64_decode(text);
  if (bytes) expect(bytes->size() <= text.size(), "what base64 holds is not longer");
}

}  // namespace
}  // namespace pouch::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pouch::fuzz;
  Input input(data, size);
  switch (input.byte()) {
    case 'h':
      check_header(input.rest());
      break;
    case 't':
      check_answer(input.rest());
      break;
    case 'c': {
      const std::string_view helper = input.line();
      check_config(helper, input.rest());
      break;
    }
    case 'u': {
      const std::string_view base = input.line();
      check_url(base);
      check_location(base, input.rest());
      break;
    }
    case 'b':
      check_base64(input.rest());
      break;
    default:
      break;
  }
  return 0;
}
