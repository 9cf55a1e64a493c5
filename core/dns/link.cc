#include "core/dns/link.h"

#include <errno.h>
#include <sys/socket.h>

#include <array>
#include <charconv>
#include <cstring>

namespace pouch::dns {
namespace {

constexpr size_t kMaxPacket = 128 * 1024;
constexpr size_t kMaxFds = 2;
constexpr size_t kLengthBytes = 4;

template <class T>
std::optional<T> number_of(const std::string& text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Room for the descriptors of one packet, aligned as the kernel wants it.
union Control {
  cmsghdr header;
  std::array<char, CMSG_SPACE(sizeof(int) * kMaxFds)> bytes;
};

void take_fds(msghdr& message, std::vector<UniqueFd>& fds) {
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    std::array<int, kMaxFds> found{};
    const size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::memcpy(found.data(), CMSG_DATA(at), count * sizeof(int));
    for (size_t i = 0; i < count; ++i) fds.emplace_back(found.at(i));
  }
}

}  // namespace

std::string pack(const Words& words) {
  std::string out;
  for (const std::string& word : words) {
    for (size_t i = 0; i < kLengthBytes; ++i) out += static_cast<char>((word.size() >> (8 * i)) & 0xff);
    out += word;
  }
  return out;
}

std::optional<Words> unpack(std::string_view bytes) {
  Words words;
  while (!bytes.empty()) {
    if (bytes.size() < kLengthBytes) return std::nullopt;
    size_t length = 0;
    for (size_t i = kLengthBytes; i-- > 0;) length = length << 8 | static_cast<uint8_t>(bytes[i]);
    bytes.remove_prefix(kLengthBytes);
    if (length > bytes.size()) return std::nullopt;
    words.emplace_back(bytes.substr(0, length));
    bytes.remove_prefix(length);
  }
  return words;
}

Words lookup_words(uint64_t number, const Lookup& lookup) {
  return {std::string(kLookupMessage),
          std::to_string(number),
          lookup.sandbox,
          std::to_string(lookup.type),
          lookup.name,
          lookup.address};
}

std::optional<std::pair<uint64_t, Lookup>> lookup_of(const Words& words) {
  if (words.size() != 6 || words[0] != kLookupMessage) return std::nullopt;
  const auto number = number_of<uint64_t>(words[1]);
  const auto type = number_of<uint16_t>(words[3]);
  if (!number || !type) return std::nullopt;
  return std::pair(*number, Lookup{words[2], *type, words[4], words[5]});
}

Words answer_words(uint64_t number, const LookupAnswer& answer) {
  Words words = {std::string(kAnswerMessage), std::to_string(number),
                 std::string(1, static_cast<char>(answer.kind))};
  words.insert(words.end(), answer.items.begin(), answer.items.end());
  return words;
}

std::optional<std::pair<uint64_t, LookupAnswer>> answer_of(const Words& words) {
  if (words.size() < 3 || words[0] != kAnswerMessage || words[2].size() != 1) return std::nullopt;
  const auto number = number_of<uint64_t>(words[1]);
  const auto kind = static_cast<AnswerKind>(words[2].front());
  const bool is_kind =
      kind == AnswerKind::kKnown || kind == AnswerKind::kForward || kind == AnswerKind::kFailed;
  if (!number || !is_kind) return std::nullopt;
  return std::pair(*number, LookupAnswer{kind, {words.begin() + 3, words.end()}});
}

Status send_packet(int socket, const Words& words, const std::vector<int>& fds) {
  std::string bytes = pack(words);
  if (bytes.size() > kMaxPacket || fds.size() > kMaxFds) return internal_error("a packet is too large");
  iovec piece = {bytes.data(), bytes.size()};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  Control control = {};
  if (!fds.empty()) {
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
    std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
  }
  while (::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET) return Status(Code::kClosed, "the other side is gone");
    if (errno == EAGAIN) return unavailable("the other side does not read");
    return errno_status(errno, "send a packet");
  }
  return {};
}

Result<std::optional<Packet>> receive_packet(int socket) {
  std::string bytes(kMaxPacket, '\0');
  iovec piece = {bytes.data(), bytes.size()};
  Control control = {};
  msghdr message = {};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = &control;
  message.msg_controllen = sizeof control;
  ssize_t got = -1;
  do {
    got = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) return std::optional<Packet>();
  if (got == 0 || (got < 0 && errno == ECONNRESET)) return Status(Code::kClosed, "the other side is gone");
  if (got < 0) return errno_status(errno, "receive a packet");
  Packet packet;
  take_fds(message, packet.fds);
  const auto words = unpack(std::string_view(bytes).substr(0, static_cast<size_t>(got)));
  if (!words || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Status(Code::kDataLoss, "receive a packet: it is none");
  }
  packet.words = *words;
  return std::optional<Packet>(std::move(packet));
}

}  // namespace pouch::dns
