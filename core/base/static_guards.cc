// What the compiler calls around the first initialization of a static variable within a function (Itanium C++
// ABI, 3.3.3), for all code that this library is linked into statically, instead of libstdc++'s.
//
// A host may fork() while one of its threads is within such an initialization. With libstdc++ the child then
// finds the variable marked as being initialized, by a thread that it does not have, and waits for ever. Here
// the child forgets what other threads have begun, and initializes the variable itself.

#include <pthread.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <stdexcept>

namespace {

struct Running {
  char* guard = nullptr;
  pthread_t thread = {};
};

// Initializations under way, of all threads together, nested ones counted.
constexpr size_t kMost = 256;

struct Guards {
  std::mutex mutex;
  std::condition_variable ended;
  std::array<Running, kMost> running;  // protected by mutex

  Running* find(const char* guard) {
    for (Running& one : running) {
      if (one.guard == guard) return &one;
    }
    return nullptr;
  }

  void end(char* guard, bool is_done) {
    {
      const std::lock_guard lock(mutex);
      find(guard)->guard = nullptr;
      // The byte that compiled code looks at before it comes here.
      if (is_done) std::atomic_ref<char>(*guard).store(1, std::memory_order_release);
    }
    ended.notify_all();
  }
};

// Never destroyed: statics are still initialized while a process ends.
alignas(Guards) std::array<char, sizeof(Guards)> storage;
Guards* guards = nullptr;

void before_fork() {
  guards->mutex.lock();
}

void in_parent() {
  guards->mutex.unlock();
}

void in_child() {
  const std::array<Running, kMost> inherited = guards->running;
  guards = new (storage.data()) Guards;  // waiters of the parent are gone, too
  size_t kept = 0;
  for (const Running& one : inherited) {
    if (one.guard != nullptr && pthread_equal(one.thread, pthread_self()) != 0) guards->running[kept++] = one;
  }
}

// Before everything else of ours: other constructors have statics, too. So has fork.cc, whose hooks this
// cannot be one of.
[[gnu::constructor(101)]] void set_up() {
  guards = new (storage.data()) Guards;
  ::pthread_atfork(&before_fork, &in_parent, &in_child);
}

}  // namespace

// NOLINTBEGIN(bugprone-reserved-identifier): the ABI's names
extern "C" {

[[gnu::visibility("hidden")]] int __cxa_guard_acquire(char* guard) {
  std::unique_lock lock(guards->mutex);
  while (true) {
    if (std::atomic_ref<char>(*guard).load(std::memory_order_acquire) != 0) return 0;
    const Running* other = guards->find(guard);
    if (other != nullptr && pthread_equal(other->thread, pthread_self()) != 0)
      throw std::logic_error("a static variable needs itself");
    Running* const mine = other == nullptr ? guards->find(nullptr) : nullptr;
    if (mine != nullptr) {
      *mine = {guard, pthread_self()};
      return 1;
    }
    guards->ended.wait(lock);
  }
}

[[gnu::visibility("hidden")]] void __cxa_guard_release(char* guard) {
  guards->end(guard, true);
}

[[gnu::visibility("hidden")]] void __cxa_guard_abort(char* guard) {
  guards->end(guard, false);
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
