#include <atomic>

#include "core/api/stream_pipe.h"
#include "core/base/number.h"
#include "core/base/text.h"
#include "core/container/manager_impl.h"

namespace pouch {

using container::SeenContainer;

namespace {

/// One registered wait. Held by its follower's callback until it has ended.
class WaitFollow : public std::enable_shared_from_this<WaitFollow> {
 public:
  WaitFollow(std::shared_ptr<container::Closers> closers, const SeenContainer& seen, bool for_removal)
      : closers_(std::move(closers)),
        id_(seen.row.id.str()),
        for_removal_(for_removal),
        exit_code_(seen.row.exit_code) {}

  StreamPtr open(events::EventLog& log, int64_t seq) {
    StreamPtr stream = pipe_->open();
    closer_ = closers_->add([weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->end(Status(Code::kClosed, "the engine was closed while a container was waited for"));
      }
    });
    pipe_->on_cancel([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->end(std::string());
    });
    auto follower =
        log.follow(seq, [self = shared_from_this()](const events::Event& e) { self->on_event(e); });
    const std::lock_guard lock(mutex_);
    if (!ended_) follower_ = std::move(follower);
    return stream;
  }

 private:
  void on_event(const events::Event& event) {
    if (event.type != "container" || event.actor_id != id_) return;
    const bool died = event.action == "die";
    const bool failed = event.action == "remove_failed";
    if (!died && !failed && event.action != "destroy") return;
    const char* const name = died ? "exitCode" : container::kFailedStartAttribute;
    if (const auto code = event.attributes.find(name); code != event.attributes.end()) {
      exit_code_ = leading_number(code->second, exit_code_);
    }
    if (died && for_removal_) return;
    api::WaitResult result;
    result.status_code = exit_code_;
    if (const auto error = event.attributes.find("error"); failed && error != event.attributes.end()) {
      result.error.emplace().message = error->second;
    }
    const std::string text = api::to_json_text(result);
    pipe_->push(Channel::kMessage, text).ignore();
    end(text);
  }

  void end(Result<std::string> result) {
    events::Follower over;  // ends outside the lock; from within its callback at once
    {
      const std::lock_guard lock(mutex_);
      if (ended_) return;
      ended_ = true;
      over = std::move(follower_);
    }
    closers_->remove(closer_);
    pipe_->finish(std::move(result));
  }

  const std::shared_ptr<container::Closers> closers_;
  const std::shared_ptr<StreamPipe> pipe_ = std::make_shared<StreamPipe>(QueuePolicy::kBlock);
  const std::string id_;
  const bool for_removal_;
  int64_t exit_code_;  // only on the watching thread
  std::atomic<int> closer_{0};
  std::mutex mutex_;
  events::Follower follower_;  // protected by mutex_
  bool ended_ = false;         // protected by mutex_
};

}  // namespace

Result<StreamPtr> ContainerManager::Impl::wait(const std::string& reference,
                                               const api::ContainerWaitOptions& options) {
  const std::string condition = options.condition.value_or("not-running");
  if (!condition.empty() && condition != "not-running" && condition != "next-exit" &&
      condition != "removed") {
    return invalid_argument("invalid condition: " + quote(condition));
  }
  POUCH_ASSIGN_OR_RETURN(const SeenContainer seen, see(reference));
  const bool not_running = condition.empty() || condition == "not-running";
  if (not_running && !seen.row.is_running()) {
    api::WaitResult result;
    result.status_code = seen.row.exit_code;
    return single_message_stream(api::to_json_text(result));
  }
  const auto follow = std::make_shared<WaitFollow>(closers, seen, condition == "removed");
  return follow->open(*context.events, seen.seq);
}

}  // namespace pouch
