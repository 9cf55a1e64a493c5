#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/base/unique_fd.h"

// What the name server, which has no rights, and the keeper's worker, which has the database, say to each
// other: one packet each over a pair of SOCK_SEQPACKET sockets.

namespace pouch::dns {

/// To the server: serve a sandbox; its UDP and its listening TCP socket come along.
inline constexpr std::string_view kAddMessage = "add";        // sandbox
inline constexpr std::string_view kRemoveMessage = "remove";  // sandbox
inline constexpr std::string_view kAnswerMessage = "answer";  // number, kind, item...
/// From the server.
inline constexpr std::string_view kLookupMessage = "lookup";  // number, sandbox, type, name or address

/// What a name is to a sandbox.
enum class AnswerKind : uint8_t {
  kKnown = 'k',    ///< items: addresses of either family; for PTR, names. None: nothing of the type asked
  kForward = 'f',  ///< others know; items: the servers to ask, in their order
  kFailed = 'e',   ///< nobody may be asked, or it is not known whom
};

struct Lookup {
  std::string sandbox;
  uint16_t type = 0;
  std::string name;     ///< without a dot at its end; "": no container has such a name, who is to be asked?
  std::string address;  ///< in place of a name, for PTR
};

struct LookupAnswer {
  AnswerKind kind = AnswerKind::kFailed;
  std::vector<std::string> items;
};

using Words = std::vector<std::string>;

std::string pack(const Words& words);
/// nullopt for what pack() does not make.
std::optional<Words> unpack(std::string_view bytes);

Words lookup_words(uint64_t number, const Lookup& lookup);
std::optional<std::pair<uint64_t, Lookup>> lookup_of(const Words& words);
Words answer_words(uint64_t number, const LookupAnswer& answer);
std::optional<std::pair<uint64_t, LookupAnswer>> answer_of(const Words& words);

struct Packet {
  Words words;
  std::vector<UniqueFd> fds;
};

/// Never waits: Unavailable when the other side does not read, Closed when it is gone.
Status send_packet(int socket, const Words& words, const std::vector<int>& fds = {});
/// nullopt when there is none now. Closed when the other side is gone; DataLoss for what is no packet.
Result<std::optional<Packet>> receive_packet(int socket);

}  // namespace pouch::dns
