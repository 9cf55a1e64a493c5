#include "cli/console.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/error.h"

namespace pouch::cli {
namespace {

void wait_writable(int fd) {
  pollfd entry{fd, POLLOUT, 0};
  ::poll(&entry, 1, -1);
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<size_t>(count));
    } else if (errno == EAGAIN) {
      wait_writable(fd);  // somebody who shares the terminal has made it non-blocking
    } else if (errno != EINTR) {
      throw Exit(kExitError, std::string("pouch: write output: ") + std::strerror(errno));
    }
  }
}

// Bytes of the UTF-8 character at the front, 0 when there is none or it is a control character.
size_t printable_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first < 0x20 || first == 0x7f ? 0 : 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  uint32_t code = first & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0u) != 0x80u) return 0;
    code = code << 6 | (byte(i) & 0x3fu);
  }
  if (code < 0xa0 || (length == 3 && code < 0x800) || (length == 4 && code < 0x10000)) return 0;
  if ((code >= 0xd800 && code < 0xe000) || code > 0x10ffff) return 0;
  // Characters that reorder a line or hide: bidirectional controls, zero width, byte order mark.
  if ((code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e)) return 0;
  if ((code >= 0x2066 && code <= 0x2069) || code == 0xfeff) return 0;
  return length;
}

}  // namespace

void Console::out(std::string_view text) const {
  write_all(out_, text);
}
void Console::err(std::string_view text) const {
  try {
    write_all(err_, text);
  } catch (const Exit&) {
    // There is nobody left to tell.
  }
}
bool Console::in_is_terminal() const {
  return ::isatty(in_) == 1;
}
bool Console::out_is_terminal() const {
  return ::isatty(out_) == 1;
}

std::string sanitised(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    size_t length = printable_length(text);
    if (length > 0) {
      out.append(text.substr(0, length));
    } else {
      length = 1;
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(text[0]));
      out.append(escaped);
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace pouch::cli
