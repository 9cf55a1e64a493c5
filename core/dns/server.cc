#include "core/dns/server.h"

#include <sys/random.h>

#include <algorithm>
#include <random>
#include <utility>

#include "core/dns/sandbox.h"

namespace pouch::dns {
namespace {

// What nobody needs to know the names for; "" when it is a question for the directory.
std::string answer_plainly(const Message& query, size_t limit) {
  constexpr unsigned kOpcodeQuery = 0;
  if (query.opcode != kOpcodeQuery) return write_answer(query, Rcode::kNotImp, {}, limit);
  if (query.edns && query.edns->version != 0) return write_answer(query, Rcode::kBadVers, {}, limit);
  return {};
}

bool is_ours(uint16_t type) {
  return type == kTypeA || type == kTypeAaaa || type == kTypeMx;
}

Lookup lookup_for(const std::string& sandbox, const Question& question) {
  Lookup lookup;
  lookup.sandbox = sandbox;
  lookup.type = question.type;
  if (question.klass != kClassIn) return lookup;
  if (is_ours(question.type)) lookup.name = text_of(question.labels).value_or("");
  if (question.type == kTypePtr) {
    const auto address = reverse_address(question.labels);
    if (address) lookup.address = address->to_string();
  }
  return lookup;
}

std::vector<Record> records_of(uint16_t type, const std::vector<std::string>& items) {
  std::vector<Record> records;
  for (const std::string& item : items) {
    if (type == kTypePtr) {
      if (auto record = pointer_record(item)) records.push_back(std::move(*record));
      continue;
    }
    const auto address = sys::IpAddress::parse(item);
    if (!address.is_ok()) continue;
    Record record = address_record(*address);
    if (record.type == type) records.push_back(std::move(record));
  }
  return records;
}

// std::random_device may open a file, which the server's filter refuses.
uint32_t random_seed() {
  uint32_t seed = 1;
  [[maybe_unused]] const ssize_t got = ::getrandom(&seed, sizeof seed, 0);
  return seed;
}

// The first one is another one each time: clients mostly take that.
void shuffle(std::vector<Record>& records) {
  static std::minstd_rand generator(random_seed());
  std::shuffle(records.begin(), records.end(), generator);
}

}  // namespace

struct Server::Query {
  std::string sandbox;
  std::string bytes;
  Message message;  // of bytes
  bool over_tcp = false;
  Reply reply;
  sys::EventLoop::TimerId timer = 0;  // while the directory is asked
  uint64_t exchange = 0;              // while servers are

  size_t limit() const { return answer_limit(message, over_tcp); }
};

Server::Server(sys::EventLoop& loop, AskDirectory ask, const ServerLimits& limits)
    : loop_(loop), ask_(std::move(ask)), limits_(limits), forwarder_(loop, limits.forwarder) {}

Server::~Server() {
  for (const auto& [number, query] : queries_) loop_.cancel(query->timer);
}

Status Server::add_sandbox(const std::string& sandbox, UniqueFd udp, UniqueFd tcp) {
  remove_sandbox(sandbox);
  auto added = std::make_unique<Sandbox>(*this, sandbox, std::move(udp), std::move(tcp));
  POUCH_RETURN_IF_ERROR(added->start());
  sandboxes_[sandbox] = std::move(added);
  return {};
}

void Server::remove_sandbox(const std::string& sandbox) {
  drop_queries(sandbox);
  sandboxes_.erase(sandbox);
}

void Server::drop_queries(const std::string& sandbox) {
  for (auto at = queries_.begin(); at != queries_.end();) {
    Query& query = *at->second;
    if (query.sandbox != sandbox) {
      ++at;
      continue;
    }
    loop_.cancel(query.timer);
    forwarder_.cancel(query.exchange);
    at = queries_.erase(at);
  }
}

void Server::handle(Sandbox& sandbox, std::string bytes, bool over_tcp, Reply reply) {
  auto message = read_message(bytes);
  if (!message) return reply(refuse_format(bytes));
  if (message->is_response) return reply({});
  const size_t limit = answer_limit(*message, over_tcp);
  if (auto answer = answer_plainly(*message, limit); !answer.empty()) return reply(std::move(answer));
  if (sandbox.waiting >= limits_.max_queries) {
    return reply(write_answer(*message, Rcode::kRefused, {}, limit));
  }
  const Lookup lookup = lookup_for(sandbox.name(), message->question);
  const uint64_t number = next_++;
  auto query = std::make_unique<Query>();
  query->sandbox = sandbox.name();
  query->bytes = std::move(bytes);
  query->message = *read_message(query->bytes);  // whose views are into where the bytes are now
  query->over_tcp = over_tcp;
  query->reply = std::move(reply);
  query->timer = loop_.after_ms(limits_.lookup_ms, [this, number] { on_answer(number, {}); });
  queries_[number] = std::move(query);
  sandbox.waiting += 1;
  if (!ask_(number, lookup).is_ok()) on_answer(number, {});
}

void Server::on_answer(uint64_t number, const LookupAnswer& answer) {
  const auto found = queries_.find(number);
  if (found == queries_.end() || found->second->exchange != 0) return;
  Query& query = *found->second;
  loop_.cancel(std::exchange(query.timer, 0));
  if (answer.kind == AnswerKind::kForward) return forward(number, answer.items);
  const bool is_known = answer.kind == AnswerKind::kKnown;
  std::vector<Record> records;
  if (is_known) records = records_of(query.message.question.type, answer.items);
  shuffle(records);
  finish(number,
         write_answer(query.message, is_known ? Rcode::kNoError : Rcode::kServFail, records, query.limit()));
}

void Server::forward(uint64_t number, const std::vector<std::string>& servers) {
  std::vector<ServerAddress> addresses;
  for (const std::string& server : servers) {
    auto address = ServerAddress::parse(server);
    if (address.is_ok()) addresses.push_back(std::move(*address));
  }
  Query& query = *queries_[number];
  query.exchange = forwarder_.ask(query.bytes, std::move(addresses), query.over_tcp,
                                  [this, number](std::string answer) { finish(number, std::move(answer)); });
}

void Server::finish(uint64_t number, std::string answer) {
  const auto found = queries_.find(number);
  if (found == queries_.end()) return;
  const std::unique_ptr<Query> query = std::move(found->second);
  queries_.erase(found);
  const auto sandbox = sandboxes_.find(query->sandbox);
  if (sandbox == sandboxes_.end()) return;
  sandbox->second->waiting -= 1;
  if (answer.empty()) answer = write_answer(query->message, Rcode::kServFail, {}, query->limit());
  query->reply(std::move(answer));
}

}  // namespace pouch::dns
