// Flags and their values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/api.h"
#include "cli/flag_values.h"
#include "cli/flags_container.h"
#include "cli/options.h"
#include "cli/time_value.h"

namespace pouch::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

using Words = std::vector<std::string>;

struct Parsed {
  bool quiet = false;
  bool all = false;
  std::string name;
  std::optional<int64_t> number;
  Words list;
  Words arguments;
};

Parsed parsed(const Words& words, bool interspersed = true) {
  Parsed out;
  Options options("pouch try", "THING...", "Try", {.least = 1});
  if (!interspersed) options.stop_at_first_argument();
  options.flag("-q, --quiet", &out.quiet, "quiet");
  options.flag("-a, --all", &out.all, "all");
  options.text("--name|--old-name", &out.name, "string", "name");
  options.integer("-n, --number", &out.number, "number");
  options.list("-l, --list", &out.list, "list");
  out.arguments = options.parse(words).value_or(Words{"help"});
  return out;
}

template <class Act>
std::string failure_of(const Act& act, int code) {
  try {
    act();
  } catch (const Exit& exit) {
    EXPECT_EQ(exit.code(), code);
    return exit.what();
  } catch (const BadValue& bad) {
    return bad.what();
  }
  return "no error";
}

TEST(Options, TakesAllForms) {
  const Parsed out = parsed({"x", "-qan5", "--name=", "--list", "-a", "-l=b", "-lc", "y", "--", "-z"});
  EXPECT_TRUE(out.quiet && out.all);
  EXPECT_EQ(out.number, 5);
  EXPECT_EQ(out.name, "");
  EXPECT_THAT(out.list, ElementsAre("-a", "b", "c"));
  EXPECT_THAT(out.arguments, ElementsAre("x", "y", "-z"));
  EXPECT_EQ(parsed({"--old-name", "n", "x"}).name, "n");
  EXPECT_EQ(parsed({"--number", "-1", "x"}).number, -1);
  EXPECT_FALSE(parsed({"--quiet=false", "x"}).quiet);
  EXPECT_THAT(parsed({"x", "-h"}).arguments, ElementsAre("help"));
}

TEST(Options, StopsAtTheCommand) {
  EXPECT_THAT(parsed({"-q", "image", "sh", "-c", "--name"}, false).arguments,
              ElementsAre("image", "sh", "-c", "--name"));
}

TEST(Options, TellsMistakesAsDockerDoes) {
  const auto failure = [](const Words& words) { return failure_of([&] { parsed(words); }, kExitUsage); };
  EXPECT_EQ(failure({"--foo=1"}),
            "unknown flag: --foo\n\nUsage:  pouch try [OPTIONS] THING...\n\n"
            "Run 'pouch try --help' for more information");
  EXPECT_THAT(failure({"-qx"}), StartsWith("unknown shorthand flag: 'x' in -qx\n"));
  EXPECT_THAT(failure({"--name"}), StartsWith("flag needs an argument: --name\n"));
  EXPECT_THAT(failure({"-n"}), StartsWith("flag needs an argument: 'n' in -n\n"));
  EXPECT_THAT(failure({"-n", "x"}), StartsWith("invalid argument \"x\" for \"-n, --number\" flag: "));
  EXPECT_THAT(failure({"--quiet=maybe"}),
              StartsWith("invalid argument \"maybe\" for \"-q, --quiet\" flag: "));
  EXPECT_THAT(failure_of([] { parsed({}); }, kExitError),
              StartsWith("pouch: 'pouch try' requires at least 1 argument\n\nUsage:  pouch try"));
}

TEST(FlagValues, Sizes) {
  EXPECT_EQ(parse_bytes("512"), 512);
  EXPECT_EQ(parse_bytes("64m"), 64 << 20);
  EXPECT_EQ(parse_bytes("1.5 GiB"), 3 << 29);
  EXPECT_EQ(parse_bytes("2kb"), 2048);
  EXPECT_EQ(parse_bytes_or_unlimited("-1"), -1);
  for (const char* bad : {"", "m", "-1", "12q", "1mx", "1..2"})
    EXPECT_THROW(parse_bytes(bad), BadValue) << bad;
}

TEST(FlagValues, Cpus) {
  EXPECT_EQ(parse_cpus("1.5"), 1'500'000'000);
  EXPECT_EQ(parse_cpus(".25"), 250'000'000);
  EXPECT_EQ(parse_cpus("2"), 2'000'000'000);
  for (const char* bad : {"x", "-1", "1.0000000001", "1.x"}) EXPECT_THROW(parse_cpus(bad), BadValue) << bad;
}

TEST(FlagValues, Devices) {
  EXPECT_EQ(to_text(parse_device("/dev/a")),
            R"({"CgroupPermissions":"rwm","PathInContainer":"/dev/a","PathOnHost":"/dev/a"})");
  EXPECT_EQ(parse_device("/dev/a:r")["CgroupPermissions"], "r");
  EXPECT_EQ(parse_device("/dev/a:/dev/b:rw")["PathInContainer"], "/dev/b");
  for (const char* bad : {"a:b:c:d", "/a:/b:xyz"}) EXPECT_THROW(parse_device(bad), BadValue) << bad;
  EXPECT_EQ(parse_throttle_device("/dev/a:1m", true)["Rate"].asInt64(), 1 << 20);
  EXPECT_THROW(parse_throttle_device("/dev/a:1m", false), BadValue);
  EXPECT_EQ(parse_weight_device("/dev/a:10")["Weight"].asInt64(), 10);
  EXPECT_THROW(parse_weight_device("a:10"), BadValue);
}

TEST(FlagValues, Ulimits) {
  EXPECT_EQ(to_text(parse_ulimit("nofile=10")), R"({"Hard":10,"Name":"nofile","Soft":10})");
  EXPECT_EQ(parse_ulimit("nofile=10:-1")["Hard"].asInt64(), -1);
  for (const char* bad : {"nofile", "foo=1", "nofile=x", "nofile=2:1", "nofile=1:2:3"}) {
    EXPECT_THROW(parse_ulimit(bad), BadValue) << bad;
  }
}

TEST(FlagValues, Mounts) {
  EXPECT_EQ(
      to_text(parse_mount("type=bind,source=/a,\"target=/b,c\",readonly,bind-propagation=rslave")),
      R"({"BindOptions":{"Propagation":"rslave"},"ReadOnly":true,"Source":"/a","Target":"/b,c","Type":"bind"})");
  EXPECT_EQ(to_text(parse_mount("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777")),
            R"({"Target":"/t","TmpfsOptions":{"Mode":1023,"SizeBytes":1048576},"Type":"tmpfs"})");
  EXPECT_EQ(
      to_text(parse_mount("src=v,dst=/t,volume-opt=a=b=c")),
      R"({"Source":"v","Target":"/t","Type":"volume","VolumeOptions":{"DriverConfig":{"Options":{"a":"b=c"}}}})");
  const auto failure = [](const std::string& text) { return failure_of([&] { parse_mount(text); }, 0); };
  EXPECT_EQ(failure("type=bind,foo=1"), "unexpected key 'foo' in 'foo=1'");
  EXPECT_EQ(failure("foo"), "invalid field 'foo' must be a key=value pair");
  EXPECT_EQ(failure("type=bind,src=/x"), "target is required");
  EXPECT_EQ(failure("type=tmpfs,dst=/x,bind-propagation=shared"),
            "cannot mix 'bind-*' options with mount type 'tmpfs'");
  EXPECT_EQ(failure("type=tmpfs,dst=/x,ro=maybe"), "invalid value for ro: maybe");
  EXPECT_EQ(failure("type=bind,src=/x,dst=/x,bind-recursive=writable"),
            "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction");
  EXPECT_EQ(
      failure("type=bind,src=/x,dst=/x,ro,bind-recursive=readonly,bind-propagation=rslave"),
      "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction");
}

TEST(FlagValues, Ports) {
  const auto bindings = [](const std::string& text) {
    Json::Value exposed;
    Json::Value out;
    parse_publish(text, exposed, out);
    EXPECT_EQ(exposed.getMemberNames(), out.getMemberNames());
    return to_text(out);
  };
  EXPECT_EQ(bindings("80"), R"({"80/tcp":[{"HostIp":"","HostPort":""}]})");
  EXPECT_EQ(bindings("127.0.0.1:8080:80/UDP"), R"({"80/udp":[{"HostIp":"127.0.0.1","HostPort":"8080"}]})");
  EXPECT_EQ(bindings("[::1]::80"), R"({"80/tcp":[{"HostIp":"::1","HostPort":""}]})");
  EXPECT_EQ(bindings("90-91:80-81"),
            R"({"80/tcp":[{"HostIp":"","HostPort":"90"}],"81/tcp":[{"HostIp":"","HostPort":"91"}]})");
  EXPECT_EQ(bindings("90-95:80"), R"({"80/tcp":[{"HostIp":"","HostPort":"90-95"}]})");
  for (const char* bad : {"x:y", "1:2:3:x", "80/foo", "90-91:80-82", "70000", "9-8"}) {
    EXPECT_THROW(bindings(bad), BadValue) << bad;
  }
  Json::Value exposed;
  parse_expose("80-81/sctp", exposed);
  EXPECT_EQ(to_text(exposed), R"({"80/sctp":{},"81/sctp":{}})");
}

TEST(FlagValues, Texts) {
  EXPECT_EQ(parse_extra_host("a:1.2.3.4"), "a:1.2.3.4");
  EXPECT_EQ(parse_extra_host("a=[::1]"), "a:::1");
  EXPECT_THROW(parse_extra_host("foo"), BadValue);
  EXPECT_EQ(parse_filter(" Status = up "), std::make_pair(std::string(" status"), std::string("up ")));
  EXPECT_THROW(parse_filter("foo"), BadValue);
  EXPECT_EQ(parse_env("A=b=c"), "A=b=c");
  EXPECT_EQ(parse_env("POUCH_SURELY_NOT_SET"), "POUCH_SURELY_NOT_SET");
  EXPECT_EQ(parse_env("PATH"), std::string("PATH=") + std::getenv("PATH"));
  EXPECT_THROW(parse_env("=x"), BadValue);
  EXPECT_EQ(to_text(parse_restart("on-failure:3")), R"({"MaximumRetryCount":3,"Name":"on-failure"})");
  EXPECT_THROW(parse_security_opt("foo"), BadValue);
  EXPECT_EQ(parse_platform("linux/arm64/v8"), R"({"architecture":"arm64","os":"linux","variant":"v8"})");
  EXPECT_THROW(parse_platform("linux"), BadValue);
  EXPECT_EQ(parse_security_opt("seccomp=unconfined"), "seccomp=unconfined");
}

TEST(Time, Durations) {
  EXPECT_EQ(parse_duration("1h30m"), 5'400'000'000'000);
  EXPECT_EQ(parse_duration("1.5s"), 1'500'000'000);
  EXPECT_EQ(parse_duration("-2ms3us1ns"), -2'003'001);
  for (const char* bad : {"", "1", "x", "1x", "s", "1.2.3s"})
    EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
}

TEST(Time, PointsInTime) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  constexpr int64_t kNow = 1'700'000'000'500'000'000;
  EXPECT_EQ(parse_time("10s", kNow), "2023-11-14T22:13:10.500000000Z");
  EXPECT_EQ(parse_time("0s", kNow), "2023-11-14T22:13:20.500000000Z");
  EXPECT_EQ(parse_time("1700000000", kNow), "2023-11-14T22:13:20.000000000Z");
  EXPECT_EQ(parse_time("1700000000.25", kNow), "2023-11-14T22:13:20.250000000Z");
  EXPECT_EQ(parse_time("2023-11-14T22:13:20.123456789Z", kNow), "2023-11-14T22:13:20.123456789Z");
  EXPECT_EQ(parse_time("2023-11-14T22:13:20+02:00", kNow), "2023-11-14T20:13:20.000000000Z");
  EXPECT_EQ(parse_time("2023-11-14T22:13", kNow), "2023-11-14T22:13:00.000000000Z");
  EXPECT_EQ(parse_time("2023-11-14", kNow), "2023-11-14T00:00:00.000000000Z");
  for (const char* bad : {"xx", "2023-13-99", "1.x", "99999999999999"})
    EXPECT_EQ(parse_time(bad, kNow), std::nullopt) << bad;
}

Json::Value config_of(const Words& words, bool detached = false) {
  ContainerFlags flags;
  Options options("pouch run", "IMAGE [COMMAND] [ARG...]", "Run", {.least = 1});
  options.stop_at_first_argument();
  flags.declare(options);
  const std::optional<Words> arguments = options.parse(words);
  return flags.config(arguments.value(), detached);
}

TEST(ContainerFlags, LittleIsSentByDefault) {
  EXPECT_EQ(to_text(config_of({"box"})),
            R"({"AttachStderr":true,"AttachStdin":false,"AttachStdout":true,"HostConfig":{},"Image":"box"})");
  EXPECT_FALSE(config_of({"box"}, true)["AttachStdout"].asBool());
}

TEST(ContainerFlags, Input) {
  const Json::Value attached = config_of({"-i", "box", "cat", "-"});
  EXPECT_TRUE(attached["OpenStdin"].asBool() && attached["StdinOnce"].asBool() &&
              attached["AttachStdin"].asBool());
  EXPECT_EQ(to_text(attached["Cmd"]), R"(["cat","-"])");
  const Json::Value detached = config_of({"-i", "box"}, true);
  EXPECT_TRUE(detached["OpenStdin"].asBool());
  EXPECT_FALSE(detached["StdinOnce"].asBool());
  const Json::Value chosen = config_of({"-a", "STDERR", "box"});
  EXPECT_TRUE(chosen["AttachStderr"].asBool() && !chosen["AttachStdout"].asBool());
}

TEST(ContainerFlags, HostConfig) {
  const Json::Value host = config_of({"--rm",
                                      "-m",
                                      "64m",
                                      "--cpus",
                                      "0.5",
                                      "--memory-swap",
                                      "-1",
                                      "--cap-add",
                                      "NET_ADMIN",
                                      "--privileged",
                                      "--read-only",
                                      "--tmpfs",
                                      "/t:size=1m",
                                      "--sysctl",
                                      "a.b=c",
                                      "--network",
                                      "none",
                                      "--dns",
                                      "1.1.1.1",
                                      "--log-driver",
                                      "none",
                                      "--log-opt",
                                      "a=b",
                                      "--init=false",
                                      "-v",
                                      "/a:/b:ro",
                                      "--ulimit",
                                      "nofile=5",
                                      "--security-opt",
                                      "systempaths=unconfined",
                                      "--security-opt",
                                      "no-new-privileges",
                                      "box"})["HostConfig"];
  EXPECT_EQ(
      to_text(host),
      R"({"AutoRemove":true,"Binds":["/a:/b:ro"],"CapAdd":["CAP_NET_ADMIN"],"Dns":["1.1.1.1"],"Init":false,)"
      R"("LogConfig":{"Config":{"a":"b"},"Type":"none"},"MaskedPaths":[],"Memory":67108864,"MemorySwap":-1,)"
      R"("NanoCpus":500000000,"NetworkMode":"none","Privileged":true,"ReadonlyPaths":[],"ReadonlyRootfs":true,)"
      R"("SecurityOpt":["no-new-privileges"],"Sysctls":{"a.b":"c"},"Tmpfs":{"/t":"size=1m"},)"
      R"("Ulimits":[{"Hard":5,"Name":"nofile","Soft":5}]})");
}

TEST(ContainerFlags, Config) {
  const Json::Value config = config_of({"-e",
                                        "A=b",
                                        "-l",
                                        "x",
                                        "-l",
                                        "y=z",
                                        "--entrypoint",
                                        "",
                                        "-w",
                                        "/w",
                                        "-u",
                                        "1:2",
                                        "-h",
                                        "host",
                                        "-v",
                                        "/vol",
                                        "--health-cmd",
                                        "true",
                                        "--health-interval",
                                        "5s",
                                        "--stop-timeout",
                                        "3",
                                        "--expose",
                                        "80",
                                        "box"});
  EXPECT_EQ(to_text(config["Env"]), R"(["A=b"])");
  EXPECT_EQ(to_text(config["Labels"]), R"({"x":"","y":"z"})");
  EXPECT_EQ(to_text(config["Entrypoint"]), R"([""])");
  EXPECT_EQ(to_text(config["Healthcheck"]), R"({"Interval":5000000000,"Test":["CMD-SHELL","true"]})");
  EXPECT_EQ(to_text(config["Volumes"]), R"({"/vol":{}})");
  EXPECT_EQ(to_text(config["ExposedPorts"]), R"({"80/tcp":{}})");
  EXPECT_EQ(config["Hostname"], "host");
  EXPECT_EQ(to_text(config_of({"--no-healthcheck", "box"})["Healthcheck"]), R"({"Test":["NONE"]})");
}

TEST(ContainerFlags, Networks) {
  const Json::Value config =
      config_of({"--net", "a", "--network", "b", "--ip", "1.2.3.4", "--network-alias", "n", "box"});
  EXPECT_EQ(config["HostConfig"]["NetworkMode"], "a");
  EXPECT_EQ(to_text(config["NetworkingConfig"]),
            R"({"EndpointsConfig":{"a":{"Aliases":["n"],"IPAMConfig":{"IPv4Address":"1.2.3.4"}},"b":{}}})");
}

TEST(ContainerFlags, NetworksInTheLongForm) {
  const Json::Value config =
      config_of({"--network", "name=a,alias=x,alias=y,ip6=fd00::9,gw-priority=3", "--network",
                 "name=b,mac-address=02:42:00:00:00:01", "--link", "db:d", "box"});
  EXPECT_EQ(config["HostConfig"]["NetworkMode"], "a");
  EXPECT_EQ(
      to_text(config["NetworkingConfig"]["EndpointsConfig"]["a"]),
      R"({"Aliases":["x","y"],"GwPriority":3,"IPAMConfig":{"IPv6Address":"fd00::9"},"Links":["db:d"]})");
  EXPECT_EQ(to_text(config["NetworkingConfig"]["EndpointsConfig"]["b"]),
            R"({"MacAddress":"02:42:00:00:00:01"})");
  EXPECT_FALSE(config_of({"--network", "a", "box"}).isMember("NetworkingConfig"));
  EXPECT_THAT(failure_of(
                  [] {
                    config_of({"--network", "name=a,what=b", "box"});
                  },
                  kExitUsage),
              HasSubstr("invalid field key what"));
  EXPECT_THAT(failure_of(
                  [] {
                    config_of({"--network", "alias=b", "box"});
                  },
                  kExitUsage),
              HasSubstr("network name/id is not specified"));
}

TEST(ContainerFlags, Files) {
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / "pouch-flags-test.env";
  std::ofstream(file) << "# comment\n\nA=b c\n  B=d\r\nPOUCH_SURELY_NOT_SET\nPATH\n";
  const Json::Value env = config_of({"--env-file", file.string(), "-e", "Z=1", "box"})["Env"];
  ASSERT_EQ(env.size(), 4U);
  EXPECT_EQ(env[0], "A=b c");
  EXPECT_EQ(env[1], "B=d");
  EXPECT_THAT(env[2].asString(), StartsWith("PATH="));
  EXPECT_EQ(env[3], "Z=1");
  EXPECT_EQ(config_of({"--label-file", file.string(), "box"})["Labels"]["A"], "b c");
  std::filesystem::remove(file);
  EXPECT_THAT(failure_of(
                  [&] {
                    config_of({"--env-file", file.string(), "box"});
                  },
                  kExitUsage),
              HasSubstr("No such file"));
}

TEST(ContainerFlags, RelativeSourcesAreTheCallers) {
  const std::string here = std::filesystem::current_path().string();
  EXPECT_EQ(config_of({"-v", "./x:/y", "box"})["HostConfig"]["Binds"][0], here + "/x:/y");
  EXPECT_EQ(config_of({"-v", ".:/y", "box"})["HostConfig"]["Binds"][0], here + ":/y");
  EXPECT_EQ(config_of({"-v", "name:/y", "box"})["HostConfig"]["Binds"][0], "name:/y");
}

TEST(ContainerFlags, Contradictions) {
  EXPECT_THAT(failure_of(
                  [] {
                    config_of({"--rm", "--restart", "always", "box"});
                  },
                  kExitUsage),
              HasSubstr("--restart and --rm"));
  EXPECT_THAT(failure_of(
                  [] {
                    config_of({"--no-healthcheck", "--health-retries", "1", "box"});
                  },
                  kExitUsage),
              HasSubstr("--no-healthcheck conflicts"));
}

}  // namespace
}  // namespace pouch::cli
