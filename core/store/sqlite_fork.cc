#include "core/store/sqlite_fork.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "core/base/fork.h"

namespace pouch::store {
namespace {

// Who holds one of these takes only later ones: the random numbers, for one, look for the default file system
// while they are made for the first time.
constexpr std::array kStaticMutexes = {
    SQLITE_MUTEX_STATIC_OPEN, SQLITE_MUTEX_STATIC_VFS1, SQLITE_MUTEX_STATIC_VFS2,
    SQLITE_MUTEX_STATIC_VFS3, SQLITE_MUTEX_STATIC_LRU,  SQLITE_MUTEX_STATIC_PMEM,
    SQLITE_MUTEX_STATIC_PRNG, SQLITE_MUTEX_STATIC_MAIN, SQLITE_MUTEX_STATIC_MEM};
using Mutexes = std::array<sqlite3_mutex*, kStaticMutexes.size()>;

// Null: SQLite has not been used. Never freed, as all of this, for threads go on while a process exits.
std::atomic<const Mutexes*> g_mutexes{nullptr};
// How many forks made of the first process this one.
std::atomic<uint64_t> g_generation{0};

struct DatabaseFile {
  dev_t device;
  ino_t inode;
  DatabaseFile* next;
};
// Ours that were opened in this process or, children all, its ancestors.
std::atomic<DatabaseFile*> g_files{nullptr};

using Stat = int (*)(const char*, struct stat*);
using Fstat = int (*)(int, struct stat*);
std::atomic<Stat> g_stat{nullptr};
std::atomic<Fstat> g_fstat{nullptr};

bool is_ours(const struct stat& facts) {
  for (const DatabaseFile* file = g_files.load(); file != nullptr; file = file->next) {
    if (file->inode == facts.st_ino && file->device == facts.st_dev) return true;
  }
  return false;
}

int with_other_inode(int result, struct stat& facts) {
  constexpr uint64_t kStep = 0x9E3779B97F4A7C15;  // far from numbers that files have
  if (result == 0 && is_ours(facts)) facts.st_ino += kStep * g_generation.load();
  return result;
}

int stat_of_child(const char* path, struct stat* facts) {
  return with_other_inode(g_stat.load()(path, facts), *facts);
}

int fstat_of_child(int fd, struct stat* facts) {
  return with_other_inode(g_fstat.load()(fd, facts), *facts);
}

template <class Function>
void replace(sqlite3_vfs* vfs, const char* name, Function ours, std::atomic<Function>& theirs) {
  const auto now = reinterpret_cast<Function>(vfs->xGetSystemCall(vfs, name));
  if (now == ours) return;  // since an ancestor
  theirs.store(now);
  vfs->xSetSystemCall(vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(ours));
}

const Mutexes* g_held = nullptr;  // of the thread that forks

void before_fork() {
  g_held = g_mutexes.load();
  if (g_held == nullptr) return;
  for (sqlite3_mutex* mutex : *g_held) sqlite3_mutex_enter(mutex);
}

void release() {
  if (g_held == nullptr) return;
  for (auto mutex = g_held->rbegin(); mutex != g_held->rend(); ++mutex) sqlite3_mutex_leave(*mutex);
}

void in_child() {
  release();
  ++g_generation;
}

constexpr ForkHooks kHooks{before_fork, release, in_child};

void initialize() {
  const auto held = hold_off_fork();
  if (g_mutexes.load() != nullptr) return;
  auto mutexes = std::make_unique<Mutexes>();
  for (size_t i = 0; i < mutexes->size(); ++i) {
    (*mutexes)[i] =
        sqlite3_mutex_alloc(kStaticMutexes[i]);  // initializes SQLite; null if it knows no threads
  }
  add_fork_hooks(kHooks);
  g_mutexes.store(mutexes.release());
}

void add_file(const std::string& path) {
  struct stat facts = {};
  if (::stat(path.c_str(), &facts) != 0 || is_ours(facts)) return;
  auto file = std::make_unique<DatabaseFile>(DatabaseFile{facts.st_dev, facts.st_ino, nullptr});
  file->next = g_files.load();
  while (!g_files.compare_exchange_weak(file->next, file.get())) {
  }
  static_cast<void>(file.release());
}

}  // namespace

void make_sqlite_survive_fork(const std::string& database) {
  if (g_mutexes.load() == nullptr) initialize();
  if (g_generation.load() == 0) return;
  sqlite3_vfs* const vfs = sqlite3_vfs_find("unix");
  if (vfs == nullptr || vfs->iVersion < 3) return;
  const auto held = hold_off_fork();
  replace(vfs, "stat", &stat_of_child, g_stat);
  replace(vfs, "fstat", &fstat_of_child, g_fstat);
  add_file(database);
}

}  // namespace pouch::store
