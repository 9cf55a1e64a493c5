#include "daemon/keeper/name_child.h"

#include <sys/epoll.h>
#include <sys/prctl.h>

#include <memory>
#include <utility>

#include "core/base/log.h"
#include "core/dns/link.h"
#include "core/dns/server.h"
#include "core/sys/event_loop.h"
#include "daemon/keeper/confine.h"

namespace pouch::keeper {
namespace {

void take(dns::Packet packet, dns::Server& server) {
  const dns::Words& words = packet.words;
  if (const auto answer = dns::answer_of(words)) return server.on_answer(answer->first, answer->second);
  if (words.size() != 2) return;
  if (words[0] == dns::kRemoveMessage) return server.remove_sandbox(words[1]);
  if (words[0] != dns::kAddMessage || packet.fds.size() != 2) return;
  const Status added = server.add_sandbox(words[1], std::move(packet.fds[0]), std::move(packet.fds[1]));
  if (!added.is_ok()) log_error("names", "serve " + words[1] + ": " + added.message());
}

void take_all(int link, dns::Server& server, sys::EventLoop& loop) {
  for (;;) {
    auto packet = dns::receive_packet(link);
    if (!packet.is_ok()) return loop.stop();
    if (!packet->has_value()) return;
    take(std::move(**packet), server);
  }
}

}  // namespace

Status serve_names(int link) {
  // It was started as /proc/self/exe. A name for ps alone: a failure does not matter.
  ::prctl(PR_SET_NAME, "pouch-names", 0, 0, 0);
  POUCH_ASSIGN_OR_RETURN(const std::unique_ptr<sys::EventLoop> loop, sys::EventLoop::create());
  dns::Server server(
      *loop,
      [link](uint64_t number, const dns::Lookup& lookup) {
        return dns::send_packet(link, dns::lookup_words(number, lookup));
      },
      dns::ServerLimits{});
  POUCH_RETURN_IF_ERROR(confine_to_network());
  POUCH_RETURN_IF_ERROR(loop->add(link, EPOLLIN, [&](uint32_t) { take_all(link, server, *loop); }).status());
  return loop->run();
}

}  // namespace pouch::keeper
