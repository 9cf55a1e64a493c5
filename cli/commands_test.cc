// Commands against the mock engine: one client sees several command lines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cli/context.h"
#include "cli/error.h"

namespace pouch::cli {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content = "")
      : fd_(::memfd_create("pouch-cli-test", MFD_CLOEXEC)) {
    EXPECT_EQ(::write(fd_, content.data(), content.size()), static_cast<ssize_t>(content.size()));
    ::lseek(fd_, 0, SEEK_SET);
  }
  ~TemporaryFile() { ::close(fd_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] int fd() const { return fd_; }

  // What was written since the last take.
  std::string take() {
    std::string all(static_cast<size_t>(::lseek(fd_, 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(fd_, all.data(), all.size(), 0), static_cast<ssize_t>(all.size()));
    EXPECT_EQ(::ftruncate(fd_, 0), 0);
    ::lseek(fd_, 0, SEEK_SET);
    return all;
  }

 private:
  int fd_;
};

struct Result {
  int code = 0;
  std::string out;
  std::string err;
};

class Commands : public testing::Test {
 protected:
  Commands() : context_(Console(in_.fd(), out_.fd(), err_.fd()), "mock://", 0, false) {
    folder_ = std::filesystem::path(testing::TempDir()) / ("pouch-cli-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_ / "bin");
    std::ofstream(folder_ / "bin/sh") << "no program";
  }
  ~Commands() override { std::filesystem::remove_all(folder_); }

  Result run(const std::vector<std::string>& words) {
    Result result;
    try {
      result.code = dispatch(context_, words);
    } catch (const Exit& exit) {
      result.code = exit.code();
      result.err = exit.what();
    }
    result.out = out_.take();
    result.err = err_.take() + result.err;
    return result;
  }

  void make_image(const std::string& name) {
    ASSERT_EQ(run({"image", "from-rootfs", folder_, name, "--cmd", "true"}).out,
              "Made image: " + name + "\n");
  }

  TemporaryFile in_{"from outside"};
  TemporaryFile out_;
  TemporaryFile err_;
  Context context_;
  std::filesystem::path folder_;
};

const std::vector<std::string> kRun = {"run", "--network", "none"};

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST_F(Commands, RunInTheForeground) {
  make_image("box:1");
  const Result result = run(with(kRun, {"--rm", "box:1", "sh", "-c", "echo out; echo err >&2; exit 7"}));
  EXPECT_EQ(result.code, 7);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(run({"ps", "-aq"}).out, "");
}

TEST_F(Commands, RunWithInput) {
  make_image("box:1");
  EXPECT_EQ(run(with(kRun, {"--rm", "-i", "box:1", "cat"})).out, "from outside");
}

TEST_F(Commands, RunTellsWhyNot) {
  const Result unknown = run(with(kRun, {"absent"}));
  EXPECT_EQ(unknown.code, 125);
  EXPECT_THAT(unknown.err,
              StartsWith("Unable to find image 'absent:latest' locally\npouch: manifest for absent:latest "));
  const Result absent = run(with(kRun, {"--pull", "never", "box:2"}));
  EXPECT_EQ(absent.code, 125);
  EXPECT_THAT(absent.err, StartsWith("pouch: No such image: box:2; "));
  EXPECT_THAT(absent.err, HasSubstr("pouch load"));
  EXPECT_EQ(run({"create", "--network", "none", "--pull", "never", "box:2"}).code, 1);
  make_image("box:1");
  EXPECT_EQ(run(with(kRun, {"--rm", "box:1", "/nosuch"})).code, 127);
  const Result network = run({"run", "--network", "somewhere", "box:1"});
  EXPECT_EQ(network.code, 125);
  EXPECT_THAT(network.err, HasSubstr("network somewhere not found"));
  EXPECT_EQ(run(with(kRun, {"--pull", "often", "box:1"})).code, 125);
  EXPECT_EQ(run(with(kRun, {"-d", "-a", "stdout", "box:1"})).code, 1);
}

TEST_F(Commands, Pull) {
  EXPECT_EQ(run({"pull", "box"}).out.substr(0, 26), "Using default tag: latest\n");
  EXPECT_EQ(run({"pull", "-q", "box"}).out, "docker.io/library/box:latest\n");
  EXPECT_EQ(run({"image", "pull", "-q", "team/box:2"}).out, "docker.io/team/box:2\n");
  EXPECT_EQ(run({"pull", "-q", "localhost/box:2"}).out, "localhost/box:2\n");
  EXPECT_EQ(run({"pull", "-a", "box:1"}).code, 1);
  EXPECT_EQ(run({"pull"}).code, 1);
  const Result absent = run({"pull", "absent:1"});
  EXPECT_EQ(absent.code, 1);
  EXPECT_EQ(absent.err, "Error: manifest for absent:1 not found");
  const Result missing = run(with(kRun, {"--rm", "other:1", "echo", "hi"}));
  EXPECT_EQ(missing.out, "hi\n");
  EXPECT_THAT(missing.err, StartsWith("Unable to find image 'other:1' locally\nother:1: Pulling from "));
  EXPECT_EQ(run(with(kRun, {"--rm", "-q", "--pull", "always", "third:1", "echo", "hi"})).err, "");
}

TEST_F(Commands, LifeOfAContainer) {
  make_image("box:1");
  const Result started = run(with(kRun, {"-d", "--name", "one", "-l", "a=b", "box:1", "sleep", "100"}));
  EXPECT_THAT(started.out, MatchesRegex("[0-9a-f]{64}\n"));
  const std::string id = started.out.substr(0, 12);
  const std::string list = run({"ps"}).out;
  EXPECT_THAT(list, StartsWith("CONTAINER ID   IMAGE     COMMAND"));
  EXPECT_THAT(list, HasSubstr("\n" + id + "   box:1     \"sleep 100\""));
  EXPECT_EQ(run({"ps", "-q"}).out, id + "\n");
  EXPECT_EQ(run({"ps", "--no-trunc", "-q"}).out, started.out);
  EXPECT_EQ(run({"container", "ls", "--format", "{{.Names}} {{.Label \"a\"}} {{.Labels}}"}).out,
            "one b a=b\n");
  EXPECT_EQ(run({"ps", "--filter", "name=two", "-q"}).out, "");
  EXPECT_EQ(run({"exec", "one", "echo", "in"}).out, "in\n");
  EXPECT_EQ(run({"exec", "-i", "one", "cat"}).out, "from outside");
  EXPECT_EQ(run({"exec", "one", "sh", "-c", "exit 3"}).code, 3);
  EXPECT_EQ(run({"rename", "one", "two"}).code, 0);
  EXPECT_EQ(run({"rm", "two"}).code, 1);
  EXPECT_EQ(run({"kill", "two"}).out, "two\n");
  EXPECT_EQ(run({"wait", "two"}).out, "137\n");
  EXPECT_EQ(run({"stop", "two"}).out, "two\n");
  EXPECT_EQ(run({"rm", "two", "nosuch"}).out, "two\n");
}

TEST_F(Commands, StartAttachedAndLogs) {
  make_image("box:1");
  EXPECT_EQ(
      run({"create", "--network", "none", "--name", "cc", "box:1", "sh", "-c", "echo a; echo b >&2; exit 4"})
          .code,
      0);
  const Result attached = run({"start", "-a", "cc"});
  EXPECT_EQ(attached.code, 4);
  EXPECT_EQ(attached.out, "a\n");
  EXPECT_EQ(attached.err, "b\n");
  const Result logs = run({"logs", "cc"});
  EXPECT_EQ(logs.out, "a\n");
  EXPECT_EQ(logs.err, "b\n");
  EXPECT_EQ(run({"logs", "--since", "xx", "cc"}).code, 1);
  EXPECT_EQ(run({"start", "cc", "nosuch"}).out, "cc\n");
  EXPECT_THAT(run({"start", "nosuch"}).err, HasSubstr("Error: failed to start containers: nosuch\n"));
}

TEST_F(Commands, Inspect) {
  make_image("box:1");
  EXPECT_EQ(run({"create", "--network", "none", "--name", "cc", "box:1"}).code, 0);
  const Result found = run({"inspect", "cc", "box:1"});
  EXPECT_THAT(found.out, StartsWith("[\n    {\n        \""));
  EXPECT_EQ(found.code, 0);
  EXPECT_EQ(run({"inspect", "-f", "{{.Name}}", "cc"}).out, "/cc\n");
  const Result absent = run({"inspect", "nosuch"});
  EXPECT_EQ(absent.code, 1);
  EXPECT_EQ(absent.out, "[]\n");
  EXPECT_EQ(absent.err, "Error: No such object: nosuch\n");
  EXPECT_EQ(run({"inspect", "--type", "image", "cc"}).code, 1);
  EXPECT_EQ(run({"inspect", "-f", "{{nosuch}}", "cc"}).code, 64);
  EXPECT_EQ(run({"inspect", "-f", "{{.Nosuch}}", "cc"}).code, 1);
  EXPECT_EQ(run({"container", "inspect", "-f", "{{.State.Health}} {{.HostConfig.CapAdd}}", "cc"}).out,
            "<nil> []\n");
}

TEST_F(Commands, Images) {
  make_image("box:1");
  EXPECT_THAT(run({"images"}).out,
              MatchesRegex("REPOSITORY   TAG       IMAGE ID       CREATED                  SIZE\n"
                           "box          1         [0-9a-f]{12}   Less than a second ago   0B\n"));
  EXPECT_EQ(run({"tag", "box:1", "r.example:5000/team/box"}).code, 0);
  EXPECT_EQ(run({"image", "ls", "--format", "{{.Repository}} {{.Tag}}"}).out,
            "box 1\nr.example:5000/team/box latest\n");
  EXPECT_EQ(run({"rmi", "r.example:5000/team/box"}).out, "Untagged: r.example:5000/team/box:latest\n");
  EXPECT_THAT(run({"rmi", "box:1"}).out, StartsWith("Untagged: box:1\nDeleted: sha256:"));
  EXPECT_EQ(run({"rmi", "box:1"}).code, 1);
  EXPECT_EQ(run({"rmi", "-f", "box:1"}).code, 0);
  const Result loaded = run({"load"});
  EXPECT_EQ(loaded.code, 1);
  EXPECT_THAT(loaded.err, HasSubstr("not a tar archive"));
}

TEST_F(Commands, Events) {
  make_image("box:1");
  EXPECT_EQ(run(with(kRun, {"--rm", "--name", "ee", "box:1", "true"})).code, 0);
  const std::vector<std::string> past = {"events",   "--since",       "1m", "--until", "0s",
                                         "--filter", "type=container"};
  EXPECT_THAT(run(past).out, HasSubstr(" container die "));
  EXPECT_THAT(run(past).out, HasSubstr("exitCode=0, image=box:1, name=ee)\n"));
  EXPECT_THAT(run(with(past, {"--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"})).out,
              HasSubstr("container start ee\n"));
}

TEST_F(Commands, VersionAndInfo) {
  EXPECT_THAT(run({"version"}).out, HasSubstr("API version:       1.50"));
  EXPECT_EQ(run({"version", "-f", "{{.Server.ApiVersion}}"}).out, "1.50\n");
  EXPECT_THAT(run({"info"}).out, HasSubstr("\n Containers: 0\n"));
  EXPECT_EQ(run({"system", "info", "-f", "{{.Containers}}"}).out, "0\n");
  EXPECT_EQ(run({"info", "-f", "{{.Nosuch}}"}).code, 1);
}

TEST_F(Commands, Help) {
  EXPECT_THAT(run({}).out, HasSubstr("Management Commands:"));
  EXPECT_THAT(run({"image"}).out, HasSubstr("from-rootfs"));
  EXPECT_THAT(run({"run", "--help"}).out, HasSubstr("-m, --memory bytes"));
  EXPECT_EQ(run({"nosuch"}).err,
            "pouch: unknown command: pouch nosuch\n\nRun 'pouch --help' for more information");
  EXPECT_EQ(run({"container", "nosuch"}).code, 1);
}

}  // namespace
}  // namespace pouch::cli
