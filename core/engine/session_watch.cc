#include "core/engine/session_watch.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "core/base/log.h"
#include "core/engine/session_file.h"
#include "core/store/database.h"
#include "core/store/session_objects.h"
#include "core/sys/child.h"
#include "core/sys/secure_dir.h"

namespace pouch {
namespace {

constexpr int64_t kStepMs = 10'000;
constexpr int64_t kCleanMs = 60'000;
// The kernel tells of a file's end just before it drops the lock.
constexpr int64_t kSecondLookMs = 100;
constexpr int64_t kPollMs = 500;  // where there is no inotify
constexpr int kMaxBackOff = 5;    // 32 s

Call own_call() {
  Call call;
  call.deadline = Deadline::after_ms(kStepMs);
  return call;
}

bool contains(const std::vector<std::string>& ids, const std::string& id) {
  return std::ranges::find(ids, id) != ids.end();
}

}  // namespace

SessionWatch::SessionWatch(EngineContext& context, Cleaner cleaner, std::unique_ptr<sys::EventLoop> loop)
    : context_(context),
      cleaner_(std::move(cleaner)),
      folder_(context.root_dir() + "/sessions"),
      loop_(std::move(loop)) {}

Result<std::unique_ptr<SessionWatch>> SessionWatch::start(EngineContext& context, Cleaner cleaner) {
  POUCH_ASSIGN_OR_RETURN(auto loop, sys::EventLoop::create());
  std::unique_ptr<SessionWatch> watch(new SessionWatch(context, std::move(cleaner), std::move(loop)));
  POUCH_RETURN_IF_ERROR(sys::secure_mkdir(watch->folder_).status());
  if (const Status status = watch->watch_folder(); !status.is_ok()) {
    log_warning("keeper", status.message() + "; sessions are looked at twice a second");
  }
  watch->loop_->post([self = watch.get()] { self->look(); });
  watch->thread_ = start_thread([self = watch.get()] { self->loop_->run().ignore(); });
  return watch;
}

SessionWatch::~SessionWatch() {
  stopping_->fire();
  loop_->stop();
  if (thread_.joinable()) thread_.join();
  cleaners_.stop();
}

Status SessionWatch::watch_folder() {
  inotify_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_.is_valid()) return errno_status(errno, "watch " + folder_);
  constexpr uint32_t kEvents = IN_MODIFY | IN_CLOSE_WRITE | IN_DELETE;
  if (::inotify_add_watch(inotify_.get(), folder_.c_str(), kEvents) < 0) {
    const Status status = errno_status(errno, "watch " + folder_);
    inotify_.reset();
    return status;
  }
  return loop_->add(inotify_.get(), EPOLLIN, [this](uint32_t) { on_folder(); }).status();
}

// What happened to which file does not matter: all are looked at.
void SessionWatch::on_folder() {
  std::array<char, 4096> buffer;
  while (::read(inotify_.get(), buffer.data(), buffer.size()) > 0) {
  }
  look();
  look_later(kSecondLookMs);
}

void SessionWatch::look_later(int64_t ms) {
  if (timer_ != 0) return;
  timer_ = loop_->after_ms(ms, [this] {
    timer_ = 0;
    look();
  });
}

void SessionWatch::look() {
  // The files first: a session makes its file before its row.
  const std::vector<std::string> files = sys::tokens_in(folder_);
  const auto rows = [this]() -> Result<std::vector<std::string>> {
    POUCH_ASSIGN_OR_RETURN(store::Snapshot snapshot, context_.db->read());
    return store::all_sessions(snapshot);
  }();
  if (!rows.is_ok()) {
    log_warning("keeper", "look for sessions: " + rows.status().message());
    return look_later(kPollMs);
  }
  std::set<int> pids;
  for (const std::string& id : files) {
    if (!contains(*rows, id)) sys::remove_if_unlocked(folder_, id);
  }
  for (const std::string& id : *rows) {
    const SessionLife life = look_at_session(folder_, id);
    if (!life.is_alive) {
      clean(id);
    } else if (life.pid != 0) {
      pids.insert(life.pid);
    }
  }
  for (const int pid : pids) watch_process(pid);
  for (auto at = processes_.begin(); at != processes_.end();) {
    const int pid = (at++)->first;
    if (!pids.contains(pid)) forget_process(pid);
  }
  if (!inotify_.is_valid() && !rows->empty()) look_later(kPollMs);
}

void SessionWatch::watch_process(int pid) {
  if (processes_.contains(pid)) return;
  auto pidfd = sys::open_pidfd(pid);
  if (!pidfd.is_ok()) return look_later(kPollMs);  // gone just now, or no descriptor is free
  const auto watch = loop_->add(pidfd->get(), EPOLLIN, [this, pid](uint32_t) {
    forget_process(pid);
    look();
  });
  if (watch.is_ok()) processes_[pid] = {std::move(*pidfd), *watch};
}

void SessionWatch::forget_process(int pid) {
  const auto at = processes_.find(pid);
  if (at == processes_.end()) return;
  loop_->remove(at->second.watch);
  processes_.erase(at);
}

void SessionWatch::clean(const std::string& id) {
  if (!cleaning_.insert(id).second) return;
  cleaners_.submit([this, id] {
    const Status cleaned = clean_now(id);
    if (!cleaned.is_ok()) log_warning("keeper", "end session " + id + ": " + cleaned.message());
    loop_->post([this, id, is_done = cleaned.is_ok()] {
      if (is_done) {
        cleaning_.erase(id);
        failures_.erase(id);
        return;
      }
      const int64_t wait_ms = 1000LL << std::min(failures_[id]++, kMaxBackOff);
      loop_->after_ms(wait_ms, [this, id] {
        cleaning_.erase(id);
        look();
      });
    });
  });
}

// First nothing more can be made in it, then what there is goes, then it is forgotten.
Status SessionWatch::clean_now(const std::string& id) {
  {
    POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                           context_.db->begin(store::Durability::kBootScoped, own_call()));
    POUCH_RETURN_IF_ERROR(store::mark_session_ended(transaction, id));
    POUCH_RETURN_IF_ERROR(transaction.commit());
  }
  ::unlink((folder_ + "/" + id).c_str());
  Call call;
  call.deadline = Deadline::after_ms(kCleanMs);
  call.cancel = stopping_;
  POUCH_RETURN_IF_ERROR(cleaner_(id, call));
  POUCH_ASSIGN_OR_RETURN(store::Transaction transaction,
                         context_.db->begin(store::Durability::kBootScoped, own_call()));
  POUCH_ASSIGN_OR_RETURN(const bool is_forgotten, store::forget_session(transaction, id));
  POUCH_RETURN_IF_ERROR(transaction.commit());
  return is_forgotten ? Status() : unavailable("something was left to it meanwhile");
}

}  // namespace pouch
