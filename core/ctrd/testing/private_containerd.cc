#include "core/ctrd/testing/private_containerd.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "core/base/id.h"
#include "core/base/text.h"
#include "core/base/unique_fd.h"
#include "core/ctrd/client.h"
#include "core/ctrd/namespaces.h"
#include "core/ctrd/tasks.h"

namespace pouch::ctrd::testing {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kReadyMs = 20'000;
constexpr int64_t kStopMs = 10'000;

std::string find_program(const std::string& name) {
  for (const char* folder : {"/usr/local/bin/", "/usr/bin/", "/usr/sbin/", "/bin/"}) {
    if (::access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return {};
}

std::string config_text(const std::string& dir, const std::string& socket) {
  std::ostringstream out;
  out << "version = 2\n"
      << "root = \"" << dir << "/root\"\n"
      << "state = \"" << dir << "/state\"\n"
      << "disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.snapshotter.v1.aufs\", "
      << "\"io.containerd.snapshotter.v1.btrfs\", \"io.containerd.snapshotter.v1.devmapper\", "
      << "\"io.containerd.snapshotter.v1.zfs\", \"io.containerd.internal.v1.opt\", "
      << "\"io.containerd.tracing.processor.v1.otlp\", \"io.containerd.internal.v1.tracing\"]\n"
      << "[grpc]\n  address = \"" << socket << "\"\n"
      << "[debug]\n  level = \"info\"\n";
  return out.str();
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string log_tail(const std::string& dir) {
  const std::string text = read_text(dir + "/containerd.log");
  return quote(text.substr(text.size() > 500 ? text.size() - 500 : 0), 600);
}

// The words of /proc/<pid>/cmdline.
std::vector<std::string> words_of(const fs::path& proc) {
  return split(read_text(proc / "cmdline"), '\0');
}

std::string word_after(const std::vector<std::string>& words, const std::string& flag) {
  const auto at = std::find(words.begin(), words.end(), flag);
  return at == words.end() || at + 1 == words.end() ? std::string() : *(at + 1);
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  std::error_code error;
  for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
    std::istringstream list(read_text(task.path() / "children"));
    for (pid_t child = 0; list >> child;) children.push_back(child);
  }
  return children;
}

// A shim that did not end with its task, and what it runs. Found by our socket path on its command line.
void kill_shims(const std::string& socket) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::vector<std::string> words = words_of(entry.path());
    if (word_after(words, "-address") != socket) continue;
    const pid_t shim = std::stoi(name);
    for (const pid_t child : children_of(shim)) ::kill(child, SIGKILL);
    ::kill(shim, SIGKILL);
    // Where containerd tells its shims to listen: sha256 of "<address>/<namespace>/<id>".
    const std::string key = socket + "/" + word_after(words, "-namespace") + "/" + word_after(words, "-id");
    fs::remove("/run/containerd/s/" + sha256_digest(key).substr(7), error);
  }
}

void unmount_below(const std::string& dir) {
  std::ifstream in("/proc/self/mountinfo");
  std::vector<std::string> points;
  for (std::string line; std::getline(in, line);) {
    const std::vector<std::string> fields = split(line, ' ');
    if (fields.size() > 4 && fields[4].starts_with(dir + "/")) points.push_back(fields[4]);
  }
  for (auto point = points.rbegin(); point != points.rend(); ++point) ::umount2(point->c_str(), MNT_DETACH);
}

// Waits for a child of ours; false after `ms`.
bool reap(pid_t pid, int64_t ms) {
  const Deadline deadline = Deadline::after_ms(ms);
  while (::waitpid(pid, nullptr, WNOHANG) == 0) {
    if (deadline.has_passed()) return false;
    ::usleep(2'000);
  }
  return true;
}

Call within_ms(int64_t ms) {
  return {.deadline = Deadline::after_ms(ms), .cancel = nullptr, .request_id = {}};
}

void remove_tasks(const Client& client) {
  const auto tasks = client.tasks().list(within_ms(5'000));
  if (!tasks.is_ok()) return;
  for (const TaskInfo& task : *tasks) {
    client.tasks().kill(within_ms(5'000), task.id, {}, SIGKILL, true).ignore();
    client.tasks().wait(within_ms(5'000), task.id).status().ignore();
    client.tasks().remove(within_ms(5'000), task.id).status().ignore();
  }
}

}  // namespace

Result<std::unique_ptr<PrivateContainerd>> PrivateContainerd::start() {
  if (::geteuid() != 0) return not_implemented("a private containerd needs root");
  if (find_program("containerd").empty()) return not_implemented("containerd is not installed");
  if (find_program("runc").empty()) return not_implemented("runc is not installed");
  std::array<char, 32> name{"/tmp/pouch-ctrd-XXXXXX"};
  if (::mkdtemp(name.data()) == nullptr) return errno_status(errno, "make a temporary folder");
  auto self = std::unique_ptr<PrivateContainerd>(new PrivateContainerd);  // NOLINT: private constructor
  self->dir_ = name.data();
  self->socket_path_ = self->dir_ + "/c.sock";
  std::ofstream(self->dir_ + "/config.toml") << config_text(self->dir_, self->socket_path_);
  POUCH_RETURN_IF_ERROR(self->launch());
  return self;
}

Status PrivateContainerd::launch() {
  const std::string program = find_program("containerd");
  const std::string config = dir_ + "/config.toml";
  const UniqueFd log(
      ::open((dir_ + "/containerd.log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!log.is_valid() || !null.is_valid()) return errno_status(errno, "open the log of a private containerd");
  const std::array<const char*, 4> argv{program.c_str(), "--config", config.c_str(), nullptr};
  // Its shims and their runtimes leave files there when they are killed.
  const char* inherited = std::getenv("PATH");
  const std::string path = std::string("PATH=") + (inherited == nullptr ? "" : inherited);
  const std::string temporary = "TMPDIR=" + dir_;
  const std::array<const char*, 3> environment{path.c_str(), temporary.c_str(), nullptr};
  pid_ = ::fork();
  if (pid_ < 0) return errno_status(errno, "fork");
  if (pid_ == 0) {
    // A test that crashes takes it along.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(null.get(), 0);
    ::dup2(log.get(), 1);
    ::dup2(log.get(), 2);
    ::execve(argv[0], const_cast<char* const*>(argv.data()), const_cast<char* const*>(environment.data()));
    ::_exit(127);
  }
  const auto client = Client::connect(socket_path_, "default", Deadline::after_ms(kReadyMs));
  if (client.is_ok()) return {};
  return client.status().prefix("start a private containerd, its log ends with " + log_tail(dir_));
}

void PrivateContainerd::end_process(int signal) {
  if (pid_ <= 0) return;
  ::kill(pid_, signal);
  if (!reap(pid_, kStopMs)) {
    ::kill(pid_, SIGKILL);
    reap(pid_, kStopMs);
  }
  pid_ = -1;
}

Status PrivateContainerd::kill_hard() {
  if (pid_ <= 0) return conflict("the private containerd does not run");
  end_process(SIGKILL);
  return {};
}

Status PrivateContainerd::restart() {
  end_process(SIGTERM);
  return launch();
}

void PrivateContainerd::kill_leftovers() {
  if (pid_ <= 0) launch().ignore();  // only it can remove tasks properly, cgroups included
  const auto client = Client::connect(socket_path_, "default", Deadline::after_ms(2'000));
  if (!client.is_ok()) return;
  const auto namespaces = (*client)->namespaces().list(within_ms(5'000));
  if (!namespaces.is_ok()) return;
  for (const NamespaceInfo& info : *namespaces) remove_tasks(*(*client)->with_namespace(info.name));
}

// NOLINTNEXTLINE(bugprone-exception-escape): a test without memory may end
PrivateContainerd::~PrivateContainerd() {
  kill_leftovers();
  end_process(SIGTERM);
  kill_shims(socket_path_);
  unmount_below(dir_);
  std::error_code error;
  fs::remove_all(dir_, error);
}

}  // namespace pouch::ctrd::testing
