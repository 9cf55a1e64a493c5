#include <signal.h>

#include <algorithm>

#include "core/base/id.h"
#include "core/base/text.h"
#include "core/mock/mock_engine.h"
#include "core/mock/mock_state.h"

namespace pouch {
namespace mock {
namespace {

constexpr int64_t kEndMs = 10'000;
constexpr size_t kIdBytes = 8;

void remove_container(State& state, std::unique_lock<std::mutex>& lock, const std::string& id) {
  const auto at = state.containers.find(id);
  if (at == state.containers.end()) return;
  const std::shared_ptr<Container> container = at->second;
  if (container->main.running) {
    container->main.process->signal(SIGKILL);
    const Call call{.deadline = Deadline::after_ms(kEndMs), .cancel = nullptr, .request_id = {}};
    wait_for(lock, state.changed, call, [&] { return !container->main.running; }).ignore();
  }
  if (container->removed) return;
  container->removed = true;
  state.containers.erase(id);
  std::erase_if(state.execs, [&](const auto& entry) { return entry.second->container == container; });
  state.drop_volumes(*container, true);
  state.add_container_event(*container, "destroy");
}

void remove_name(State& state, const std::string& reference) {
  for (auto& [id, image] : state.images) {
    if (std::erase(image.references, reference) > 0) {
      state.add_event("image", "untag", id, {{"name", reference}});
    }
  }
}

void remove_image(State& state, const std::string& id) {
  const auto at = state.images.find(id);
  const bool is_used =
      std::ranges::any_of(state.containers, [&](const auto& entry) { return entry.second->image_id == id; });
  if (at == state.images.end() || !at->second.references.empty() || is_used) {
    state.add_maker("image", id, {});
    return;
  }
  state.images.erase(at);
  state.add_event("image", "delete", id, {{"name", id}});
}

void end_session(State& state, const std::string& session) {
  std::unique_lock lock(state.mutex);
  if (state.sessions.erase(session) == 0) return;
  for (const std::string& id : state.take_from(session, "container")) remove_container(state, lock, id);
  for (const std::string& id : state.take_from(session, "network")) state.remove_network(id);
  for (const std::string& name : state.take_from(session, "volume")) {
    if (state.users_of_volume(name).empty()) state.remove_volume(name);
  }
  for (const std::string& name : state.take_from(session, "reference")) remove_name(state, name);
  for (const std::string& id : state.take_from(session, "image")) remove_image(state, id);
}

}  // namespace

Status State::check_session(const std::string& session) const {
  if (session.empty() || sessions.contains(session)) return {};
  return {Code::kClosed, "session " + quote(session) + " has ended: nothing can be made in it"};
}

void State::add_maker(const std::string& kind, const std::string& key, const std::string& session) {
  makers[kind + " " + key].insert(session);
}

std::vector<std::string> State::take_from(const std::string& session, const std::string& kind) {
  std::vector<std::string> alone;
  for (auto at = makers.begin(); at != makers.end();) {
    const bool was_maker = at->first.starts_with(kind + " ") && at->second.erase(session) > 0;
    if (was_maker && at->second.empty()) {
      alone.push_back(at->first.substr(kind.size() + 1));
      at = makers.erase(at);
    } else {
      ++at;
    }
  }
  return alone;
}

}  // namespace mock

Status MockEngine::check_session(const std::string& session) const {
  const std::lock_guard lock(state_->mutex);
  return state_->check_session(session);
}

Result<StreamPtr> MockEngine::system_session(const Call& /*call*/) {
  const std::string id = random_hex(mock::kIdBytes);
  const auto pipe = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  StreamPtr stream = pipe->open();
  {
    const std::lock_guard lock(state_->mutex);
    state_->sessions.insert(id);
  }
  pipe->on_cancel([weak = std::weak_ptr<mock::State>(state_), id] {
    if (const auto state = weak.lock()) mock::end_session(*state, id);
  });
  POUCH_RETURN_IF_ERROR(pipe->push(Channel::kMessage, api::to_json_text(api::SessionMessage{id})));
  return stream;
}

}  // namespace pouch
