// The name server in network namespaces of the test's own; needs root. The program is its own child, too.

#include "daemon/keeper/name_service.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <future>

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/dns/message.h"
#include "core/sys/file.h"
#include "core/sys/net_namespace.h"
#include "daemon/keeper/name_child.h"

namespace pouch::keeper {
namespace {

namespace fs = std::filesystem;

constexpr int kWaitMs = 20'000;

// Of ours by /proc; 0: none.
int find_child() {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const auto line = sys::read_file(entry.path() / "cmdline", 4096);
    if (!line.is_ok() || line->find("--serve-names") == std::string::npos) continue;
    const auto status = sys::read_file(entry.path() / "status", 1 << 16);
    const std::string parent = "PPid:\t" + std::to_string(::getpid()) + "\n";
    if (status.is_ok() && status->find(parent) != std::string::npos)
      return std::stoi(entry.path().filename());
  }
  return 0;
}

template <class Condition>
bool wait_until(Condition condition) {
  const Deadline deadline = Deadline::after_ms(kWaitMs);
  while (!condition()) {
    if (deadline.has_passed()) return false;
    ::poll(nullptr, 0, 10);
  }
  return true;
}

class Names : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    dir_ = fs::temp_directory_path() / ("pouch-names-" + std::to_string(::getpid()));
    fs::create_directories(dir_ / "netns");
    fs::permissions(dir_ / "netns", fs::perms::owner_all);
    SetUpService();
    for (const char* name : {"a-1", "b-1"}) {
      auto made = sys::create_net_namespace(pin(name), {});
      ASSERT_TRUE(made.is_ok()) << made.status().message();
    }
  }
  void SetUpService() {
    service_ = std::make_unique<
        NameService>(dir_ / "netns", [](const dns::Lookup& lookup) -> Result<dns::LookupAnswer> {
      if (lookup.name == "bad") return internal_error("the database is gone");
      if (lookup.name != "web") return dns::LookupAnswer{dns::AnswerKind::kForward, {}};
      return dns::LookupAnswer{dns::AnswerKind::kKnown, {lookup.sandbox == "a-1" ? "10.0.0.1" : "10.0.0.2"}};
    });
    ASSERT_TRUE(service_->start().is_ok());
  }
  void TearDown() override {
    service_.reset();
    for (const char* name : {"a-1", "b-1"}) sys::remove_net_namespace(pin(name)).ignore();
    fs::remove_all(dir_);
  }

  std::string pin(const std::string& name) const { return dir_ / "netns" / name; }

  Status serve(const std::string& name) {
    std::promise<Status> promise;
    service_->serve(name, [&](const Status& status) { promise.set_value(status); });
    return promise.get_future().get();
  }

  // An answer to a client in the namespace; "" when there is none.
  static std::string ask(int netns, const std::string& name, int kind) {
    std::string out;
    const Status asked = sys::in_net_namespace(netns, [&]() -> Status {
      const UniqueFd fd(::socket(AF_INET, kind | SOCK_CLOEXEC, 0));
      sockaddr_in to = {};
      to.sin_family = AF_INET;
      to.sin_port = htons(53);
      ::inet_pton(AF_INET, "127.0.0.11", &to.sin_addr);
      if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
        return errno_status(errno, "connect");
      std::string query = dns::write_query(7, name, dns::kTypeA);
      if (kind == SOCK_STREAM) query = dns::frame(query);
      if (::send(fd.get(), query.data(), query.size(), 0) < 0) return errno_status(errno, "send");
      pollfd item = {fd.get(), POLLIN, 0};
      std::array<char, 2048> buffer;
      if (::poll(&item, 1, kWaitMs) <= 0) return unavailable("no answer");
      const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
      if (got > 0) out.assign(buffer.data(), static_cast<size_t>(got));
      return {};
    });
    return asked.is_ok() ? out : std::string();
  }
  std::string ask(const std::string& sandbox, const std::string& name, int kind = SOCK_DGRAM) const {
    const auto netns = sys::open_net_namespace(pin(sandbox));
    return netns.is_ok() ? ask(netns->get(), name, kind) : "no namespace";
  }

  fs::path dir_;
  std::unique_ptr<NameService> service_;
};

TEST_F(Names, each_sandbox_has_its_own) {
  ASSERT_TRUE(serve("a-1").is_ok());
  ASSERT_TRUE(serve("b-1").is_ok());
  EXPECT_TRUE(serve("a-1").is_ok());
  EXPECT_EQ(serve("c-1").code(), Code::kNotFound);
  EXPECT_TRUE(ask("a-1", "web").ends_with(std::string("\x0a\0\0\x01", 4)));
  EXPECT_TRUE(ask("b-1", "web").ends_with(std::string("\x0a\0\0\x02", 4)));
  EXPECT_TRUE(ask("b-1", "web", SOCK_STREAM).ends_with(std::string("\x0a\0\0\x02", 4)));
  for (const char* name : {"bad", "other"}) {
    const std::string answer = ask("a-1", name);
    const auto message = dns::read_message(answer);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->rcode, dns::Rcode::kServFail);
  }
}

TEST_F(Names, a_container_may_serve_names_itself) {
  const auto netns = sys::open_net_namespace(pin("a-1"));
  ASSERT_TRUE(netns.is_ok());
  std::vector<UniqueFd> own;
  const auto take_all = [&](const char* address) {
    const Status taken = sys::in_net_namespace(netns->get(), [&]() -> Status {
      for (const int kind : {SOCK_DGRAM, SOCK_STREAM}) {
        UniqueFd fd(::socket(AF_INET, kind | SOCK_CLOEXEC, 0));
        sockaddr_in place = {};
        place.sin_family = AF_INET;
        place.sin_port = htons(53);
        ::inet_pton(AF_INET, address, &place.sin_addr);
        if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) != 0)
          return errno_status(errno, "bind");
        if (kind == SOCK_STREAM && ::listen(fd.get(), 1) != 0) return errno_status(errno, "listen");
        own.push_back(std::move(fd));
      }
      return {};
    });
    EXPECT_TRUE(taken.is_ok()) << address << taken.message();
  };
  ASSERT_TRUE(serve("a-1").is_ok());
  take_all("0.0.0.0");
  EXPECT_NE(ask("a-1", "web"), "");
  EXPECT_NE(ask("a-1", "web", SOCK_STREAM), "");
  own.clear();
  // Another worker, to which this one's sockets are lost.
  service_->stop();
  take_all("127.0.0.11");
  SetUpService();
  ASSERT_TRUE(serve("a-1").is_ok());
  EXPECT_NE(ask("a-1", "web"), "");
  EXPECT_NE(ask("a-1", "web", SOCK_STREAM), "");
}

TEST_F(Names, the_child_has_no_rights) {
  ASSERT_TRUE(serve("a-1").is_ok());
  ASSERT_NE(ask("a-1", "web"), "");
  const int child = find_child();
  ASSERT_GT(child, 0);
  const std::string status = *sys::read_file("/proc/" + std::to_string(child) + "/status", 1 << 16);
  for (const char* line : {
         "Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n", "Groups:\t \n",
             "CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n",
             "CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n",
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
             "Seccomp:\t2\n",
#endif
             "Threads:\t1\n"
       }) {
    EXPECT_NE(status.find(line), std::string::npos) << line << status;
  }
  service_.reset();
  EXPECT_TRUE(wait_until([] { return find_child() == 0; }));
}

TEST_F(Names, a_child_that_dies_is_started_again_and_has_all_sandboxes) {
  ASSERT_TRUE(serve("a-1").is_ok());
  ASSERT_TRUE(serve("b-1").is_ok());
  ASSERT_NE(ask("a-1", "web"), "");
  const int first = find_child();
  ASSERT_GT(first, 0);
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  // Asked while nobody is there, perhaps: the query waits in its socket.
  EXPECT_NE(ask("a-1", "web"), "");
  EXPECT_NE(ask("b-1", "web", SOCK_STREAM), "");
  EXPECT_NE(find_child(), first);
}

TEST_F(Names, a_namespace_ends_with_its_pin) {
  ASSERT_TRUE(serve("a-1").is_ok());
  ASSERT_TRUE(serve("b-1").is_ok());
  ASSERT_NE(ask("a-1", "web"), "");
  {
    const auto netns = sys::open_net_namespace(pin("a-1"));
    ASSERT_TRUE(netns.is_ok());
    ASSERT_TRUE(sys::remove_net_namespace(pin("a-1")).is_ok());
    // Refused, once nobody has the socket any more: nothing but this test holds the namespace.
    EXPECT_TRUE(wait_until([&] { return ask(netns->get(), "web", SOCK_STREAM).empty(); }));
  }
  EXPECT_NE(ask("b-1", "web"), "");
}

}  // namespace
}  // namespace pouch::keeper

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--serve-names") {
    return pouch::keeper::serve_names(STDIN_FILENO).is_ok() ? 0 : 1;
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
