#include "core/plugin/plugin_client.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>

#include "core/base/fault.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/sys/file.h"

namespace pouch::plugin {
namespace {

constexpr const char* kMedia = "application/vnd.docker.plugins.v1.2+json";
constexpr size_t kMaxAnswer = size_t{16} << 20;
constexpr size_t kMaxSpec = size_t{64} << 10;
constexpr int kLookMs = 50;  // how late a cancel is seen
constexpr int kNoSuchMethod = 404;

bool is_name(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

bool is_socket(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

Result<PluginAddress> read_json_spec(const std::string& text) {
  POUCH_ASSIGN_OR_RETURN(const Json spec, parse_json(text));
  if (!spec.isObject() || !spec["Addr"].isString()) return invalid_argument("a plugin's file has no Addr");
  const Json& tls = spec["TLSConfig"];
  if (tls.isObject() && !tls.empty()) return not_implemented("plugins over TLS are not supported");
  return parse_plugin_address(spec["Addr"].asString());
}

// Ready for `events`, or the call is over.
Status await(int fd, short events, const Call& call) {
  while (true) {
    POUCH_RETURN_IF_ERROR(call.check());
    pollfd entry{fd, events, 0};
    const int ready = ::poll(&entry, 1, kLookMs);
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return errno_status(errno, "wait for a plugin");
  }
}

Result<UniqueFd> connect_to(const sockaddr* address, socklen_t size, int family, const Call& call) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.is_valid()) return errno_status(errno, "make a socket");
  if (::connect(fd.get(), address, size) == 0) return fd;
  if (errno != EINPROGRESS && errno != EAGAIN) return Status(Code::kUnavailable, std::strerror(errno));
  POUCH_RETURN_IF_ERROR(await(fd.get(), POLLOUT, call));
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) return Status(Code::kUnavailable, std::strerror(error));
  return fd;
}

Result<UniqueFd> connect_plugin(const PluginAddress& address, const Call& call) {
  if (!address.socket.empty()) {
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    if (address.socket.size() >= sizeof where.sun_path) return invalid_argument("its path is too long");
    std::copy(address.socket.begin(), address.socket.end(), where.sun_path);
    return connect_to(reinterpret_cast<const sockaddr*>(&where), sizeof where, AF_UNIX, call);
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found); error != 0)
    return unavailable(::gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> held(found, ::freeaddrinfo);
  return connect_to(found->ai_addr, found->ai_addrlen, found->ai_family, call);
}

Status send_all(int fd, std::string_view text, const Call& call) {
  while (!text.empty()) {
    const ssize_t count = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (count > 0) text.remove_prefix(static_cast<size_t>(count));
    if (count >= 0 || errno == EINTR) continue;
    if (errno != EAGAIN) return unavailable(std::strerror(errno));
    POUCH_RETURN_IF_ERROR(await(fd, POLLOUT, call));
  }
  return {};
}

// To its end: we ask it to close.
Result<std::string> receive_all(int fd, const Call& call) {
  std::string text;
  char buffer[16384];
  while (text.size() <= kMaxAnswer) {
    const ssize_t count = ::recv(fd, buffer, sizeof buffer, 0);
    if (count == 0) return text;
    if (count > 0) text.append(buffer, static_cast<size_t>(count));
    if (count > 0 || errno == EINTR) continue;
    if (errno != EAGAIN) return unavailable(std::strerror(errno));
    POUCH_RETURN_IF_ERROR(await(fd, POLLIN, call));
  }
  return Status(Code::kResourceExhausted, "its answer is too long");
}

Result<std::string> join_chunks(std::string_view text) {
  std::string body;
  while (true) {
    const size_t line = text.find("\r\n");
    size_t size = 0;
    const auto read = std::from_chars(text.data(), text.data() + std::min(line, text.size()), size, 16);
    if (line == std::string_view::npos || read.ec != std::errc()) return invalid_argument("a bad chunk");
    text.remove_prefix(line + 2);
    if (size == 0) return body;
    if (text.size() < size + 2) return invalid_argument("a chunk is cut off");
    body += text.substr(0, size);
    text.remove_prefix(size + 2);
  }
}

// Of volume plugins "Err"; libnetwork's protocols say "Error", and their plugins either.
std::string error_of(const Json& document) {
  for (const char* name : {"Err", "Error"}) {
    if (const std::string said = text(document, name); !said.empty()) return said;
  }
  return {};
}

}  // namespace

Result<PluginAddress> parse_plugin_address(const std::string& text) {
  PluginAddress out;
  const std::string address(trim(text));
  if (address.starts_with("unix://")) {
    out.socket = address.substr(7);
    if (!out.socket.empty() && out.socket.front() == '/') return out;
  } else if (address.starts_with("tcp://") || address.starts_with("http://")) {
    const std::string rest = address.substr(address.find("//") + 2);
    const size_t colon = rest.rfind(':');
    if (colon != std::string::npos && colon > 0 && colon + 1 < rest.size()) {
      out.host = rest.substr(0, colon);
      out.port = rest.substr(colon + 1, rest.find('/') - colon - 1);
      return out;
    }
  } else if (address.starts_with("https://")) {
    return not_implemented("plugins over TLS are not supported");
  }
  return invalid_argument("bad address of a plugin: " + quote(text));
}

Result<PluginAddress> find_plugin(const PluginFolders& folders, const std::string& name) {
  if (is_name(name)) {
    for (const std::string& place : {name, name + "/" + name}) {
      const std::string socket = folders.sockets + "/" + place + ".sock";
      if (is_socket(socket)) return PluginAddress{socket, {}, {}};
      for (const std::string& folder : folders.specs) {
        const auto json = sys::read_file(folder + "/" + place + ".json", kMaxSpec);
        if (json.is_ok()) return read_json_spec(*json);
        const auto spec = sys::read_file(folder + "/" + place + ".spec", kMaxSpec);
        if (spec.is_ok()) return parse_plugin_address(*spec);
      }
    }
  }
  return not_found("plugin " + quote(name) + " not found");
}

std::string text(const Json& object, const char* name) {
  const Json& value = object.isObject() ? object[name] : Json::nullSingleton();
  return value.isString() ? value.asString() : std::string();
}

std::vector<std::string> list_plugins(const PluginFolders& folders) {
  std::vector<std::string> places = folders.specs;
  places.push_back(folders.sockets);
  std::set<std::string> names;
  for (const std::string& folder : places) {
    std::error_code unread;
    for (const auto& entry : std::filesystem::directory_iterator(folder, unread)) {
      const std::string extension = entry.path().extension();
      const bool is_plugin = extension == ".sock" || extension == ".spec" || extension == ".json";
      // A folder NAME has NAME.sock, or the like.
      const std::string name = is_plugin ? entry.path().stem() : entry.path().filename();
      if (find_plugin(folders, name).is_ok()) names.insert(name);
    }
  }
  return {names.begin(), names.end()};
}

Result<PluginAddress> activate_plugin(const PluginFolders& folders, const std::string& name,
                                      const std::string& kind, const Call& call) {
  POUCH_ASSIGN_OR_RETURN(PluginAddress address, find_plugin(folders, name));
  POUCH_ASSIGN_OR_RETURN(const Json manifest, call_plugin(address, "Plugin.Activate", json_object(), call));
  for (const Json& each : manifest["Implements"]) {
    if (each == kind) return address;
  }
  return not_found("plugin " + quote(name) + " does not implement " + kind);
}

Result<PluginAnswer> parse_plugin_answer(const std::string& text) {
  const size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos || !text.starts_with("HTTP/1.")) return invalid_argument("no HTTP answer");
  PluginAnswer out;
  const size_t blank = text.find(' ');
  const auto read = std::from_chars(text.data() + blank + 1, text.data() + end, out.status);
  if (blank > end || read.ec != std::errc()) return invalid_argument("a bad status line");
  const std::string head = to_lower(std::string_view(text).substr(0, end));
  const std::string_view rest = std::string_view(text).substr(end + 4);
  if (head.find("transfer-encoding: chunked") != std::string::npos) {
    POUCH_ASSIGN_OR_RETURN(out.body, join_chunks(rest));
    return out;
  }
  out.body = rest;
  if (const size_t at = head.find("\r\ncontent-length:"); at != std::string::npos) {
    const std::string_view number =
        trim(std::string_view(head).substr(at + 17, head.find("\r\n", at + 2) - at - 17));
    size_t size = 0;
    const auto length = std::from_chars(number.data(), number.data() + number.size(), size);
    if (length.ec != std::errc() || out.body.size() < size) return invalid_argument("the answer is cut off");
    out.body.resize(size);
  }
  return out;
}

Result<Json> call_plugin(const PluginAddress& address, const std::string& method, const Json& request,
                         const Call& call) {
  const auto exchange = [&]() -> Result<PluginAnswer> {
    const std::string body = write_json(request);
    const std::string head =
        "POST /" + method + " HTTP/1.1\r\nHost: " + (address.host.empty() ? "plugin" : address.host) +
        "\r\nAccept: " + kMedia + "\r\nContent-Type: " + kMedia +
        "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n";
    POUCH_ASSIGN_OR_RETURN(const UniqueFd fd, connect_plugin(address, call));
    POUCH_RETURN_IF_ERROR(send_all(fd.get(), head + body, call));
    POUCH_ASSIGN_OR_RETURN(const std::string text, receive_all(fd.get(), call));
    if (text.empty()) return unavailable("the plugin closed the connection");
    auto parsed = parse_plugin_answer(text);
    return parsed.is_ok() ? std::move(parsed) : Status(Code::kInternal, parsed.status().message());
  };
  Result<PluginAnswer> answer = PluginAnswer{};
  const Status done = with_faults("plugin.call", [&] {
    answer = exchange();
    return answer.status();
  });
  if (!done.is_ok()) return done.prefix(method);
  const auto document = parse_json(answer->body.empty() ? "{}" : answer->body);
  const bool is_object = document.is_ok() && document->isObject();
  const std::string error = is_object ? error_of(*document) : "";
  if (answer->status / 100 == 2 && is_object && error.empty()) return *document;
  if (answer->status == kNoSuchMethod) return not_found(method + ": the plugin does not know it");
  const std::string why = !error.empty() ? error : "status " + std::to_string(answer->status);
  return Status(Code::kInternal, method + ": " + quote(why));
}

}  // namespace pouch::plugin
