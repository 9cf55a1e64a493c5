#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/container/config_merge.h"
#include "core/container/mount_plan.h"
#include "core/container/names.h"
#include "core/container/processors.h"
#include "core/container/signals.h"
#include "core/container/validation.h"

namespace pouch::container {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

TEST(Names, Check) {
  EXPECT_TRUE(check_name("ab").is_ok());
  EXPECT_TRUE(check_name("a.b-c_9").is_ok());
  for (const char* bad : {"", "a", "-ab", ".ab", "a b", "a/b", "a\n", "\xff\xff"}) {
    EXPECT_EQ(check_name(bad).code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_FALSE(check_name(std::string(256, 'a')).is_ok());
  EXPECT_EQ(check_name("a b").message(),
            "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
}

TEST(Names, Random) {
  EXPECT_THAT(random_name(0), MatchesRegex("[a-z]+_[a-z]+"));
  EXPECT_THAT(random_name(1), MatchesRegex("[a-z]+_[a-z]+[0-9]"));
  EXPECT_TRUE(check_name(random_name(5)).is_ok());
  EXPECT_EQ(strip_slash("/x"), "x");
}

TEST(Signals, NamesAndNumbers) {
  for (const char* good : {"TERM", "SIGTERM", "sigterm", "Term", "15"}) {
    const auto signal = parse_signal(good);
    ASSERT_TRUE(signal.is_ok()) << good;
    EXPECT_EQ(*signal, 15);
  }
  EXPECT_EQ(*parse_signal("RTMIN+3"), 37);
  EXPECT_EQ(*parse_signal("SIGRTMAX-1"), 63);
  for (const char* bad : {"", "0", "-1", "65", "999999999999", "NOPE", "SIG", "RTMIN+99", "RTMIN-1", "9x"}) {
    EXPECT_EQ(parse_signal(bad).code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(parse_signal("NOPE").status().message(), "Invalid signal: NOPE");
}

api::ContainerConfig image_config() {
  api::ContainerConfig image;
  image.entrypoint = {"/entry"};
  image.cmd = {"serve"};
  image.env = {"PATH=/bin", "A=image", "B=image"};
  image.labels = {{"from", "image"}, {"both", "image"}};
  image.working_dir = "/srv";
  image.user = "www";
  image.stop_signal = "SIGINT";
  image.exposed_ports.emplace()["80/tcp"];
  return image;
}

TEST(Merge, TakesWhatIsAbsent) {
  api::ContainerConfig config;
  ASSERT_TRUE(merge_image_config(config, image_config()).is_ok());
  EXPECT_THAT(command_line(config), ElementsAre("/entry", "serve"));
  EXPECT_EQ(config.working_dir, "/srv");
  EXPECT_EQ(config.user, "www");
  EXPECT_EQ(config.stop_signal, "SIGINT");
  EXPECT_TRUE(config.exposed_ports->contains("80/tcp"));
}

TEST(Merge, OwnValuesWin) {
  api::ContainerConfig config;
  config.env = {"A=own", "C=own"};
  config.labels.emplace()["both"] = "own";
  config.user = "root";
  ASSERT_TRUE(merge_image_config(config, image_config()).is_ok());
  EXPECT_THAT(*config.env, ElementsAre("A=own", "C=own", "PATH=/bin", "B=image"));
  EXPECT_EQ(config.labels->at("both"), "own");
  EXPECT_EQ(config.labels->at("from"), "image");
  EXPECT_EQ(config.user, "root");
}

TEST(Merge, EntrypointDropsTheImagesCommand) {
  api::ContainerConfig config;
  config.entrypoint = {"/mine"};
  ASSERT_TRUE(merge_image_config(config, image_config()).is_ok());
  EXPECT_THAT(command_line(config), ElementsAre("/mine"));
}

TEST(Merge, CommandKeepsTheImagesEntrypoint) {
  api::ContainerConfig config;
  config.cmd = {"other"};
  ASSERT_TRUE(merge_image_config(config, image_config()).is_ok());
  EXPECT_THAT(command_line(config), ElementsAre("/entry", "other"));
}

TEST(Merge, EmptyEntrypointIsNone) {
  api::ContainerConfig config;
  config.entrypoint = {""};
  config.cmd = {"only"};
  ASSERT_TRUE(merge_image_config(config, image_config()).is_ok());
  EXPECT_THAT(command_line(config), ElementsAre("only"));
}

TEST(Merge, NoCommand) {
  api::ContainerConfig config;
  EXPECT_EQ(merge_image_config(config, {}).message(), "No command specified");
}

api::ContainerCreateConfig request() {
  api::ContainerCreateConfig config;
  config.image = "busybox";
  config.host_config.emplace().network_mode = "none";
  return config;
}

TEST(Validation, EndpointsOfTheDefaultBridge) {
  const auto asked = [](const std::string& mode, const std::string& name,
                        const api::EndpointSettings& endpoint) {
    api::ContainerCreateConfig config = request();
    config.host_config->network_mode = mode;
    config.networking_config.emplace().endpoints_config.emplace()[name] = endpoint;
    return config;
  };
  for (const char* mode : {"", "default", "bridge"}) {
    for (const char* name : {"default", "bridge"}) {
      EXPECT_TRUE(validate_request(asked(mode, name, {})).is_ok()) << mode << " " << name;
    }
  }
  api::EndpointSettings mac;
  mac.mac_address = "02:42:00:00:00:09";
  EXPECT_TRUE(validate_request(asked("default", "default", mac)).is_ok());
  EXPECT_EQ(endpoints_of(asked("default", "default", mac)).at("bridge").mac_address, mac.mac_address);
  api::ContainerCreateConfig old_way = request();
  old_way.host_config->network_mode = "bridge";
  old_way.mac_address = mac.mac_address;
  EXPECT_EQ(endpoints_of(old_way).at("bridge").mac_address, mac.mac_address);
  mac.mac_address = "02:42";
  EXPECT_EQ(validate_request(asked("default", "default", mac)).code(), Code::kInvalidArgument);
  api::EndpointSettings answered;
  answered.gateway = "10.0.0.1";
  EXPECT_THAT(validate_request(asked("default", "bridge", answered)).message(),
              HasSubstr("\"bridge\": Gateway"));
  const auto several = endpoints_of(asked("default", "other", {}));
  EXPECT_TRUE(several.contains("bridge") && several.contains("other"));
}

TEST(Validation, WhoJoinsAnothersNetworkHasNothingOfItsOwnThere) {
  const auto expect = [](const std::string& text, const auto& change) {
    api::ContainerCreateConfig config = request();
    config.host_config->network_mode = "container:x";
    EXPECT_TRUE(validate_request(config).is_ok());
    EXPECT_TRUE(endpoints_of(config).empty());
    change(config);
    const Status status = validate_request(config);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.message();
    EXPECT_THAT(status.message(), HasSubstr(text));
  };
  expect("hostname and the network mode", [](auto& c) { c.hostname = "h"; });
  expect("dns and the network mode", [](auto& c) { c.host_config->dns = {"1.1.1.1"}; });
  expect("custom host-to-IP mapping", [](auto& c) { c.host_config->extra_hosts = {"a:1.1.1.1"}; });
  expect("can't be used with links", [](auto& c) { c.host_config->links = {"a:b"}; });
  expect("mac-address and the network mode", [](auto& c) { c.mac_address = "02:42:00:00:00:09"; });
  expect("port exposing", [](auto& c) { c.exposed_ports.emplace()["80/tcp"]; });
  expect("invalid container format", [](auto& c) { c.host_config->network_mode = "container:"; });
}

TEST(Validation, NamesWhatIsNotSupported) {
  ASSERT_TRUE(validate_request(request()).is_ok());
  const auto expect = [](const std::string& option, const auto& change) {
    api::ContainerCreateConfig config = request();
    change(config);
    const Status status = validate_request(config);
    EXPECT_EQ(status.code(), Code::kNotImplemented) << option << ": " << status.message();
    EXPECT_THAT(status.message(), HasSubstr(option));
  };
  expect("RestartPolicy", [](auto& c) { c.host_config->restart_policy.emplace().name = "always"; });
  expect("Healthcheck", [](auto& c) { c.healthcheck.emplace().test = {"CMD", "true"}; });
  expect("Init", [](auto& c) { c.host_config->init = true; });
  expect("LogConfig.Type", [](auto& c) { c.host_config->log_config.emplace().type = "syslog"; });
  expect("EndpointsConfig",
         [](auto& c) { c.networking_config.emplace().endpoints_config.emplace()["n"].gateway = "10.0.0.1"; });
  api::ContainerCreateConfig disabled = request();
  disabled.healthcheck.emplace().test = {"NONE"};
  EXPECT_TRUE(validate_request(disabled).is_ok());
}

TEST(Validation, BadValues) {
  const auto expect = [](const std::string& text, const auto& change) {
    api::ContainerCreateConfig config = request();
    change(config);
    const Status status = validate_request(config);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.message();
    EXPECT_THAT(status.message(), HasSubstr(text));
  };
  expect("Minimum memory limit allowed is 6MB", [](auto& c) { c.host_config->memory = 1 << 20; });
  expect("Invalid signal: X", [](auto& c) { c.stop_signal = "X"; });
  expect("environment variable", [](auto& c) { c.env = {"=x"}; });
  expect("hostname", [](auto& c) { c.hostname = std::string(65, 'h'); });
  expect("restart policy", [](auto& c) { c.host_config->restart_policy.emplace().name = "sometimes"; });
  expect("AutoRemove", [](auto& c) {
    c.host_config->restart_policy.emplace().name = "always";
    c.host_config->auto_remove = true;
  });
  expect("ConsoleSize", [](auto& c) { c.host_config->console_size = {{24}}; });
  expect("add-host", [](auto& c) { c.host_config->extra_hosts = {"nocolon"}; });
  expect("unknown log opt",
         [](auto& c) { c.host_config->log_config.emplace().config.emplace()["what"] = "x"; });
  expect("max-file", [](auto& c) { c.host_config->log_config.emplace().config.emplace()["max-file"] = "3"; });
}

TEST(Validation, LogOptions) {
  api::HostConfig host;
  EXPECT_EQ(parse_log_options(host)->driver, "json-file");
  host.log_config.emplace().config = {{"max-size", "10k"}, {"max-file", "3"}};
  const auto options = parse_log_options(host);
  ASSERT_TRUE(options.is_ok());
  EXPECT_EQ(options->max_size, 10 * 1024);
  EXPECT_EQ(options->max_file, 3);
}

TEST(Processors, Lists) {
  EXPECT_EQ(parse_cpu_list("0-2,7"), (std::set<int>{0, 1, 2, 7}));
  for (const char* bad : {"", "a", "1-", "2-1", "-1", "0,,1", "99999"})
    EXPECT_FALSE(parse_cpu_list(bad)) << bad;
  api::HostConfig host;
  host.nano_cpus = int64_t{1} << 60;
  EXPECT_EQ(check_processors(host).code(), Code::kInvalidArgument);
  host = {};
  host.cpuset_cpus = "bad";
  EXPECT_EQ(check_processors(host).code(), Code::kInvalidArgument);
}

TEST(Validation, FilledHostConfig) {
  api::HostConfig host;
  host.memory = 64 << 20;
  fill_host_config(host, "runc", false);
  EXPECT_EQ(host.cgroupns_mode, "host");
  EXPECT_FALSE(host.masked_paths->empty());
  EXPECT_EQ(host.memory_swap, 128 << 20);
  EXPECT_EQ(host.runtime, "runc");
  EXPECT_EQ(host.ipc_mode, "private");
  EXPECT_EQ(host.shm_size, 64 << 20);
  EXPECT_EQ(host.restart_policy->name, "no");
  EXPECT_EQ(host.log_config->type, "json-file");
}

TEST(Validation, NoVolumeIsTheWholeRoot) {
  for (const char* path : {"/", "", "/a/.."}) {
    api::ContainerCreateConfig config = request();
    config.volumes.emplace()[path];
    EXPECT_EQ(validate_request(config).code(), Code::kInvalidArgument) << path;
  }
}

TEST(MountRows, OwnOnesWinOverThoseOfOthers) {
  api::ContainerConfig config;
  config.volumes.emplace()["/image"];
  (*config.volumes)["/taken/"];
  (*config.volumes)["relative"];
  api::HostConfig other;
  other.binds = {{"/srv:/taken:ro", "vol1:/a", "/tmp:/bind"}};
  other.tmpfs.emplace()["/t"] = "";
  TakenMounts taken;
  taken.own = *spec::plan_mounts(other);
  taken.rows = plan_rows({}, other, taken.own, {});
  ASSERT_EQ(taken.rows.size(), 1U);
  EXPECT_EQ(taken.rows[0].mode, "z");
  taken.read_only = true;
  api::HostConfig host;
  host.binds = {{"vol2:/a", "/x:/bind"}};
  const auto rows = plan_rows(config, host, *spec::plan_mounts(host), {taken});
  std::map<std::string, const MountRow*> by_path;
  for (const MountRow& row : rows) by_path[row.destination] = &row;
  ASSERT_EQ(by_path.size(), 4U);
  EXPECT_EQ(by_path.at("/a")->volume, "vol2");
  EXPECT_TRUE(wants_copy(*by_path.at("/a")));
  EXPECT_EQ(by_path.at("/taken")->mount.type, "bind");
  EXPECT_TRUE(by_path.at("/taken")->is_read_only());
  EXPECT_EQ(by_path.at("/image")->volume.size(), 64U);
  EXPECT_EQ(by_path.at("/image")->ending, Ending::kGoes);
  EXPECT_TRUE(by_path.contains("/relative"));

  TakenMounts again;
  again.rows = rows;
  for (const MountRow& row : plan_rows({}, {}, {}, {again})) {
    EXPECT_NE(row.ending, Ending::kGoes) << row.destination;  // another has made it
    EXPECT_FALSE(wants_copy(row)) << row.destination;
  }
}

}  // namespace
}  // namespace pouch::container
