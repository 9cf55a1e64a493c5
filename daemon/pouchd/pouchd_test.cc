#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "daemon/pouchd/options.h"
#include "daemon/pouchd/process.h"

namespace pouch::pouchd {
namespace {

class PouchdTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "pouchd-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    config_ = folder_ + "/config.json";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write_config(const std::string& text) { std::ofstream(config_) << text; }

  // With an empty config file unless the test wrote one, so that the host's is not read.
  Result<CommandLine> parse(std::vector<std::string> args) {
    if (!std::filesystem::exists(config_)) write_config("{}");
    args.insert(args.begin(), {"pouchd", "--config-file=" + config_});
    std::vector<const char*> argv;
    for (const std::string& arg : args) argv.push_back(arg.c_str());
    return parse_command_line(static_cast<int>(argv.size()), argv.data());
  }

  std::string error(const std::vector<std::string>& args) {
    const Result<CommandLine> line = parse(args);
    EXPECT_FALSE(line.is_ok());
    return line.status().message();
  }

  std::string folder_;
  std::string config_;
};

TEST_F(PouchdTest, CommandLine) {
  const auto line = parse({"-l",
                           "unix:///a",
                           "--host",
                           "tcp://:1",
                           "-H=tcp://:2",
                           "--data-root=/d",
                           "--exec-root",
                           "/e",
                           "--containerd",
                           "/c",
                           "--add-runtime",
                           "x=/usr/bin/x",
                           "--add-runtime=y=crun",
                           "--default-runtime=x",
                           "--snapshotter=native",
                           "-D",
                           "--pidfile=/p",
                           "--group=docker",
                           "--insecure-registry=r:5000",
                           "--insecure-registry",
                           "10.0.0.0/8",
                           "--registry-mirror=https://m",
                           "--registries-file=/r"});
  ASSERT_TRUE(line.is_ok()) << line.status().to_string();
  const Options& options = line->options;
  EXPECT_EQ(options.listen, (std::vector<std::string>{"unix:///a", "tcp://:1", "tcp://:2"}));
  EXPECT_EQ(options.home_dir, "/d");
  EXPECT_EQ(options.exec_root_dir, "/e");
  EXPECT_EQ(options.containerd, "/c");
  EXPECT_EQ(options.runtimes, (std::map<std::string, std::string>{{"x", "/usr/bin/x"}, {"y", "crun"}}));
  EXPECT_EQ(options.default_runtime, "x");
  EXPECT_EQ(options.snapshotter, "native");
  EXPECT_TRUE(options.debug);
  EXPECT_EQ(options.pidfile, "/p");
  EXPECT_EQ(options.group, "docker");
  EXPECT_EQ(options.insecure_registries, (std::vector<std::string>{"r:5000", "10.0.0.0/8"}));
  EXPECT_EQ(options.registry_mirrors, std::vector<std::string>{"https://m"});
  EXPECT_EQ(options.registries_file, "/r");
}

TEST_F(PouchdTest, Defaults) {
  const auto line = parse({});
  ASSERT_TRUE(line.is_ok()) << line.status().to_string();
  EXPECT_EQ(line->options.listen, std::vector<std::string>{"unix:///var/run/pouchd.sock"});
  EXPECT_FALSE(line->options.debug);
}

TEST_F(PouchdTest, ConfigFile) {
  write_config(R"({"listen":["unix:///a"],"home-dir":"/d","debug":true,"registry-mirrors":["https://m"],
                   "insecure-registries":["r"],
                   "add-runtime":{"x":"/usr/bin/x","y":{"path":"crun"}}})");
  const auto line = parse({"--containerd=/c"});
  ASSERT_TRUE(line.is_ok()) << line.status().to_string();
  EXPECT_EQ(line->options.listen, std::vector<std::string>{"unix:///a"});
  EXPECT_EQ(line->options.home_dir, "/d");
  EXPECT_EQ(line->options.containerd, "/c");
  EXPECT_TRUE(line->options.debug);
  EXPECT_EQ(line->options.registry_mirrors, std::vector<std::string>{"https://m"});
  EXPECT_EQ(line->options.insecure_registries, std::vector<std::string>{"r"});
  EXPECT_EQ(line->options.runtimes, (std::map<std::string, std::string>{{"x", "/usr/bin/x"}, {"y", "crun"}}));
}

TEST_F(PouchdTest, Errors) {
  EXPECT_NE(error({"--nope"}).find("--nope"), std::string::npos);
  EXPECT_NE(error({"--add-runtime=x"}).find("name=path"), std::string::npos);
  write_config(R"({"home-dir":"/d"})");
  EXPECT_EQ(error({"--data-root=/e"}), "option home-dir is given on the command line and in the config file");
  for (const char* bad :
       {R"({"nope":1})", R"({"debug":"yes"})", R"({"listen":"unix:///a"})", R"({"home-dir":3})",
        R"({"add-runtime":{"x":{"path":"p","type":"t"}}})", "[]", "{"}) {
    write_config(bad);
    EXPECT_NE(error({}).find("config file"), std::string::npos) << bad;
  }
  std::filesystem::remove(config_);
  const char* argv[] = {"pouchd", "--config-file", config_.c_str()};
  EXPECT_EQ(parse_command_line(3, argv).status().code(), Code::kNotFound);
}

TEST_F(PouchdTest, PidFileIsHeldOnce) {
  const std::string path = folder_ + "/pid";
  {
    const auto held = PidFile::create(path);
    ASSERT_TRUE(held.is_ok()) << held.status().to_string();
    std::string pid;
    std::ifstream(path) >> pid;
    EXPECT_EQ(pid, std::to_string(::getpid()));
    EXPECT_EQ(PidFile::create(path).status().code(), Code::kConflict);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(PidFile::create(path).is_ok());
}

TEST_F(PouchdTest, Groups) {
  EXPECT_EQ(find_group("root").value(), 0U);
  EXPECT_EQ(find_group("4711").value(), 4711U);
  EXPECT_EQ(find_group("no such group").status().code(), Code::kNotFound);
}

TEST_F(PouchdTest, ServiceManagerIsTold) {
  const std::string path = folder_ + "/notify";
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  notify_service_manager("READY=1");
  ::unsetenv("NOTIFY_SOCKET");
  notify_service_manager("STOPPING=1");  // nobody to tell
  char text[64] = {};
  EXPECT_EQ(::recv(socket.get(), text, sizeof text - 1, MSG_DONTWAIT), 7);
  EXPECT_STREQ(text, "READY=1");
  EXPECT_EQ(::recv(socket.get(), text, sizeof text, MSG_DONTWAIT), -1);
}

}  // namespace
}  // namespace pouch::pouchd
