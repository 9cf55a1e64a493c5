#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "core/container/background.h"
#include "core/container/container_files.h"
#include "core/container/list_filter.h"
#include "core/container/log_text.h"
#include "core/container/rootfs_files.h"
#include "core/container/status_text.h"

namespace pouch::container {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSecond = 1'000'000'000;

std::string span(int64_t seconds) {
  return human_duration({seconds * kSecond});
}

TEST(StatusText, Spans) {
  EXPECT_EQ(span(0), "Less than a second");
  EXPECT_EQ(span(1), "1 second");
  EXPECT_EQ(span(59), "59 seconds");
  EXPECT_EQ(span(60), "About a minute");
  EXPECT_EQ(span(119), "About a minute");
  EXPECT_EQ(span(120), "2 minutes");
  EXPECT_EQ(span(3600), "About an hour");
  EXPECT_EQ(span(90 * 60), "2 hours");
  EXPECT_EQ(span(47 * 3600), "47 hours");
  EXPECT_EQ(span(48 * 3600), "2 days");
  EXPECT_EQ(span(14 * 86400), "2 weeks");
  EXPECT_EQ(span(60 * 86400), "2 months");
  EXPECT_EQ(span(730 * 86400), "2 years");
}

TEST(StatusText, States) {
  const Timestamp start{1000 * kSecond};
  const Timestamp end{1060 * kSecond};
  const Timestamp now{1063 * kSecond};
  EXPECT_EQ(status_text({"created", 0, {}, {}, ""}, now), "Created");
  EXPECT_EQ(status_text({"created", 127, {}, {}, ""}, now), "Created");
  EXPECT_EQ(status_text({"running", 0, start, {}, ""}, now), "Up About a minute");
  EXPECT_EQ(status_text({"running", 0, start, {}, "starting"}, now), "Up About a minute (health: starting)");
  EXPECT_EQ(status_text({"paused", 0, start, {}, ""}, now), "Up About a minute (Paused)");
  EXPECT_EQ(status_text({"exited", 3, start, end, ""}, now), "Exited (3) 3 seconds ago");
  EXPECT_EQ(status_text({"removing", 0, start, end, ""}, now), "Removal In Progress");
  EXPECT_EQ(status_text({"dead", 0, start, end, ""}, now), "Dead");
}

class FilterTest : public ::testing::Test {
 protected:
  bool matches(const FilterMap& filters) {
    const auto filter = ListFilter::parse(filters);
    EXPECT_TRUE(filter.is_ok()) << filter.status().message();
    return filter.is_ok() && filter->matches(subject());
  }
  FilterSubject subject() {
    FilterSubject out;
    out.id = "abcdef012345";
    out.name = "web-1";
    out.state = "exited";
    out.exit_code = 3;
    out.has_exited = true;
    out.health = "none";
    out.created = {100};
    out.labels = &labels_;
    out.networks = {"none"};
    out.volumes = {"/data", "/srv/data"};
    out.exposed_ports = {"80/tcp", "53/udp"};
    return out;
  }
  std::map<std::string, std::string> labels_{{"a", "1"}, {"b", ""}};
};

TEST_F(FilterTest, Text) {
  EXPECT_TRUE(matches({{"id", {"abc"}}}));
  EXPECT_FALSE(matches({{"id", {"^bcd"}}}));
  EXPECT_TRUE(matches({{"name", {"web"}}}));
  EXPECT_TRUE(matches({{"name", {"^/web-1$"}}}));
  EXPECT_TRUE(matches({{"name", {"^web-1$"}}}));
  EXPECT_TRUE(matches({{"name", {"no", "web"}}}));
  EXPECT_FALSE(matches({{"name", {"["}}}));
  EXPECT_FALSE(matches({{"name", {std::string(1000, '(')}}}));
}

TEST_F(FilterTest, State) {
  EXPECT_TRUE(matches({{"status", {"running", "exited"}}}));
  EXPECT_FALSE(matches({{"status", {"running"}}}));
  EXPECT_TRUE(matches({{"exited", {"3"}}}));
  EXPECT_FALSE(matches({{"exited", {"0"}}}));
  EXPECT_TRUE(matches({{"health", {"none"}}}));
  EXPECT_FALSE(matches({{"is-task", {"true"}}}));
  EXPECT_TRUE(matches({{"is-task", {"false"}}}));
  auto filter = ListFilter::parse({{"before", {"x"}}});
  ASSERT_TRUE(filter.is_ok());
  filter->set_before({100});
  EXPECT_FALSE(filter->matches(subject()));
  filter->set_before({101});
  EXPECT_TRUE(filter->matches(subject()));
}

TEST_F(FilterTest, Objects) {
  EXPECT_TRUE(matches({{"label", {"a"}}}));
  EXPECT_TRUE(matches({{"label", {"a=1", "b="}}}));
  EXPECT_FALSE(matches({{"label", {"a=1", "c"}}}));
  EXPECT_FALSE(matches({{"label", {"a=2"}}}));
  EXPECT_TRUE(matches({{"network", {"none"}}}));
  EXPECT_FALSE(matches({{"network", {"host"}}}));
  EXPECT_TRUE(matches({{"volume", {"/data"}}}));
  EXPECT_TRUE(matches({{"expose", {"80"}}}));
  EXPECT_TRUE(matches({{"expose", {"50-60/udp"}}}));
  EXPECT_FALSE(matches({{"expose", {"50-60"}}}));
  EXPECT_FALSE(matches({{"publish", {"80"}}}));
  EXPECT_FALSE(matches({{"ancestor", {"x"}}}));
}

TEST_F(FilterTest, BadOnes) {
  EXPECT_EQ(ListFilter::parse({{"what", {"x"}}}).status().message(), "Invalid filter 'what'");
  EXPECT_EQ(ListFilter::parse({{"status", {"x"}}}).status().message(), "Invalid filter 'status=x'");
  EXPECT_FALSE(ListFilter::parse({{"exited", {"1x"}}}).is_ok());
  EXPECT_FALSE(ListFilter::parse({{"expose", {"99999"}}}).is_ok());
  EXPECT_FALSE(ListFilter::parse({{"health", {"fine"}}}).is_ok());
  EXPECT_TRUE(ListFilter::parse({{"name", {}}}).is_ok());
}

TEST(LogText, Records) {
  io::LogLine line;
  line.time = *Timestamp::parse_rfc3339("2024-01-02T03:04:05.5Z");
  line.text = "hi\n";
  line.attrs = {{"k", "v w"}, {"a", "1,2"}};
  EXPECT_EQ(log_record(line, false, false), "hi\n");
  EXPECT_EQ(log_record(line, true, false), "2024-01-02T03:04:05.500000000Z hi\n");
  EXPECT_EQ(log_record(line, true, true), "2024-01-02T03:04:05.500000000Z a=1%2C2,k=v+w hi\n");
  EXPECT_EQ(fixed_rfc3339(*Timestamp::parse_rfc3339("2024-01-02T03:04:05Z")),
            "2024-01-02T03:04:05.000000000Z");
}

TEST(LogText, Query) {
  api::ContainerLogsOptions options;
  EXPECT_EQ(log_query(options).status().message(), "Bad parameters: you must choose at least one stream");
  options.stdout = true;
  EXPECT_EQ(log_query(options)->tail, -1);
  options.tail = "5";
  EXPECT_EQ(log_query(options)->tail, 5);
  options.tail = "5x";
  EXPECT_EQ(log_query(options)->tail, -1);
  options.tail = "0";
  EXPECT_EQ(log_query(options)->tail, 0);
}

TEST(Files, HostsAndResolvConf) {
  api::HostConfig host;
  host.network_mode = "none";
  host.extra_hosts = {"db:10.0.0.1", "six:::1"};
  const std::string hosts = hosts_text({}, host, {}, "ignored");
  EXPECT_THAT(hosts, HasSubstr("127.0.0.1\tlocalhost\n"));
  EXPECT_THAT(hosts, HasSubstr("10.0.0.1\tdb\n"));
  EXPECT_THAT(hosts, HasSubstr("::1\tsix\n"));
  const std::string file = "# c\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch a.b\n";
  EXPECT_EQ(resolv_conf_text(host, {}, file), "nameserver 9.9.9.9\nsearch a.b\n");
  host.dns = {"1.1.1.1"};
  host.dns_search = {"x.y"};
  EXPECT_EQ(resolv_conf_text(host, {}, file), "search x.y\nnameserver 1.1.1.1\n");
  api::HostConfig of_host;
  of_host.network_mode = "host";
  EXPECT_EQ(resolv_conf_text(of_host, {}, file), file);
  EXPECT_EQ(hosts_text({}, of_host, {}, "1.2.3.4 me"), "1.2.3.4 me\n");
}

TEST(Files, OnTheBridgeTheyTellOfIt) {
  NetworkPlan network;
  NetworkLeg leg;
  leg.address = "10.192.0.2/22";
  leg.gateway = "10.192.0.1";
  leg.is_default4 = true;
  network.legs = {leg};
  api::ContainerConfig config;
  config.hostname = "h";
  api::HostConfig host;
  host.extra_hosts = std::vector<std::string>{"up:host-gateway", "a:1.2.3.4"};
  const std::string hosts = hosts_text(config, host, network, "ignored");
  EXPECT_THAT(hosts, HasSubstr("ff02::2\tip6-allrouters\n10.192.0.1\tup\n1.2.3.4\ta\n10.192.0.2\th\n"));
  config.domainname = "d.org";
  EXPECT_THAT(hosts_text(config, host, network, ""), HasSubstr("\n10.192.0.2\th.d.org h\n"));

  const char* const kPublic = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n";
  const std::pair<std::string, std::string> files[] = {
      {"", kPublic},
      {"nameserver 127.0.0.53\noptions edns0\nsearch x\n",
       std::string("options edns0\nsearch x\n") + kPublic},
      {"nameserver ::1\nnameserver fd00::1\n", kPublic},
      {"nameserver 127.0.0.1\nnameserver 9.9.9.9\nnameserver fd00::1\n", "nameserver 9.9.9.9\n"}};
  for (const auto& [file, text] : files) EXPECT_EQ(resolv_conf_text({}, network, file), text) << file;
  api::HostConfig own;
  own.dns = std::vector<std::string>{"fd00::1"};
  EXPECT_EQ(resolv_conf_text(own, network, "nameserver 9.9.9.9\n"), "nameserver fd00::1\n");
}

class RootfsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/pouch-rootfs-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    for (const char* layer : {"upper", "mid", "low"})
      std::filesystem::create_directories(dir_ + "/" + layer + "/etc");
    mounts_ = {{"overlay",
                "overlay",
                "",
                {"lowerdir=" + dir_ + "/mid:" + dir_ + "/low", "upperdir=" + dir_ + "/upper"}}};
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void write(const std::string& path, const std::string& text) { std::ofstream(dir_ + "/" + path) << text; }

  std::string dir_;
  std::vector<ctrd::Mount> mounts_;
};

TEST_F(RootfsTest, TopLayerWins) {
  EXPECT_EQ(*read_rootfs_file(mounts_, "etc/passwd"), "");
  write("low/etc/passwd", "low");
  EXPECT_EQ(*read_rootfs_file(mounts_, "etc/passwd"), "low");
  write("mid/etc/passwd", "mid");
  EXPECT_EQ(*read_rootfs_file(mounts_, "etc/passwd"), "mid");
  write("upper/etc/passwd", "upper");
  EXPECT_EQ(*read_rootfs_file(mounts_, "etc/passwd"), "upper");
}

TEST_F(RootfsTest, WhiteoutHides) {
  write("low/etc/passwd", "low");
  if (::mknod((dir_ + "/mid/etc/passwd").c_str(), S_IFCHR | 0600, 0) != 0) GTEST_SKIP() << "needs mknod";
  EXPECT_EQ(*read_rootfs_file(mounts_, "etc/passwd"), "");
}

TEST_F(RootfsTest, LinksDoNotLeave) {
  write("secret", "secret");
  std::filesystem::create_symlink(dir_ + "/secret", dir_ + "/low/etc/passwd");
  EXPECT_EQ(*read_rootfs_file(mounts_, "etc/passwd"), "");
  std::filesystem::create_symlink("../../../../../../../etc/hostname", dir_ + "/low/etc/group");
  write("low/etc/hostname", "inside");
  EXPECT_EQ(*read_file_below(dir_ + "/low", "etc/group"), "inside");
  EXPECT_EQ(read_rootfs_file({{"ext4", "/dev/x", "", {}}}, "etc/passwd").code(), Code::kNotImplemented);
}

TEST(Background, BesideRunsOnceAndCannotStarve) {
  Executor executor(1);
  std::atomic<int> runs{0};
  const auto outer = run_detached<Status>(executor, {}, [&]() -> Status {
    Beside inner(executor, [&runs]() -> Status {  // no thread is free for it
      ++runs;
      return not_found("told");
    });
    return inner.join();
  });
  EXPECT_EQ(outer.code(), Code::kNotFound);
  EXPECT_EQ(runs, 1);
}

TEST(Background, ClosersAndInflight) {
  Closers closers;
  int closed = 0;
  closers.add([&closed] { ++closed; });
  closers.remove(closers.add([&closed] { closed += 10; }));
  closers.close_all();
  EXPECT_EQ(closed, 1);
  EXPECT_EQ(closers.add([&closed] { ++closed; }), 0);
  EXPECT_EQ(closed, 2);
  Inflight inflight;
  auto held = inflight.enter();
  std::thread other = start_thread([held = std::move(held)]() mutable { held.reset(); });
  inflight.wait_idle();
  other.join();
}

TEST(ResolvConf, of_a_container_with_a_name_server) {
  NetworkPlan network;
  network.has_names = true;
  const std::string file =
      "# by hand\nnameserver 127.0.0.53\nnameserver fd00::1\nsearch a.b c.d\noptions edns0 trust-ad\n";
  EXPECT_EQ(resolv_conf_text({}, network, file),
            "search a.b c.d\nnameserver 127.0.0.11\noptions edns0 trust-ad ndots:0\n");
  EXPECT_EQ(resolv_conf_text({}, network, ""), "nameserver 127.0.0.11\noptions ndots:0\n");
  network.legs.resize(2);
  network.legs[1].search = {"of.plugin"};
  EXPECT_EQ(resolv_conf_text({}, network, file),
            "search of.plugin\nnameserver 127.0.0.11\noptions edns0 trust-ad ndots:0\n");
  api::HostConfig host;
  host.dns = {"192.0.2.1"};
  host.dns_search = {"."};
  host.dns_options = {"ndots:2"};
  EXPECT_EQ(resolv_conf_text(host, network, file), "nameserver 127.0.0.11\noptions ndots:2\n");
}

}  // namespace
}  // namespace pouch::container
