#include "core/base/fault.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

namespace pouch {
namespace {

#ifdef POUCH_FAULTS

namespace fs = std::filesystem;

// The control file is asked for once in a process's life, so each case is a process of its own.
class FaultTest : public testing::Test {
 protected:
  FaultTest() {
    std::string pattern = (fs::temp_directory_path() / "pouch-fault-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
  }
  ~FaultTest() override { fs::remove_all(dir_); }

  std::string file(const std::string& name) const { return (dir_ / name).string(); }
  void control(const std::string& text) const { std::ofstream(file("control")) << text; }
  std::string read(const std::string& name) const {
    std::ifstream in(file(name));
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// Exits with 0 when `check` is true.
  [[noreturn]] void in_child(const std::function<bool()>& check) const {
    ::setenv("POUCH_FAULTS_FILE", file("control").c_str(), 1);  // manners: a child that only tests
    ::_exit(check() ? 0 : 1);
  }

  fs::path dir_;
};

constexpr auto kGood = [](int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; };

TEST_F(FaultTest, FailsTheNthTimeAndOnceOnly) {
  control("fail:ENOSPC host a.step.before 2\n");
  const auto check = [] {
    const bool first = fault_status("a.step", "before").is_ok();
    const Status second = fault_status("a.step", "before");
    return first && second.code() == Code::kResourceExhausted && fault_status("a.step", "before").is_ok();
  };
  EXPECT_EXIT(in_child(check), kGood, "");
  EXPECT_NE(read("control.fired-1").find(" a.step.before\n"), std::string::npos);
  EXPECT_EXIT(in_child([&] { return !check(); }), kGood, "") << "it acted in another process before";
}

TEST_F(FaultTest, LastingFaultsBeginningsAndCodes) {
  control("fail:Unavailable * a.* 2+\nfail:EMFILE host b.open.before 1+\n");
  EXPECT_EXIT(in_child([] {
                const bool first = fault_status("a.x", "before").is_ok();
                return first && fault_status("a.y", "after").code() == Code::kUnavailable &&
                       fault_status("a.x", "after").code() == Code::kUnavailable &&
                       fault_errno("b.open", "before") == EMFILE && fault_errno("b.open", "after") == 0;
              }),
              kGood, "");
}

TEST_F(FaultTest, KillsAndRecordsAndReadsTheFileAgain) {
  control("record " + file("met") + "\nkill keeper a.step.before 1\n");
  EXPECT_EXIT(in_child([&] {
                fault_kill("a.step", "before");  // of another role
                if (!fault_status("b.step", "after").is_ok()) return false;
                control("# longer than before\nkill host a.step.before 1\n");
                fault_kill("a.step", "before");
                return false;
              }),
              testing::KilledBySignal(SIGKILL), "");
  EXPECT_EQ(read("met"), "host a.step.before kill\nhost b.step.after fail\n");
}

TEST_F(FaultTest, AStepStandsBetweenItsPoints) {
  control("fail:EIO * c.before 1\nrecord " + file("met") + "\n");
  EXPECT_EXIT(in_child([] {
                int runs = 0;
                const auto step = [&] {
                  ++runs;
                  return Status();
                };
                return !with_faults("c", step).is_ok() && with_faults("c", step).is_ok() && runs == 1;
              }),
              kGood, "");
  EXPECT_EQ(read("met"), "host c.before fail\nhost c.before fail\nhost c.after kill\n");
}

#endif

TEST(Fault, NothingIsWantedWithoutAControlFile) {
  EXPECT_FALSE(has_faults());
  EXPECT_TRUE(fault_environment().empty());
  EXPECT_EQ(fault_errno("a", "before"), 0);
  EXPECT_TRUE(with_faults("a", [] { return Status(); }).is_ok());
  EXPECT_EQ(with_faults("a", [] { return not_found("x"); }).code(), Code::kNotFound);
}

}  // namespace
}  // namespace pouch
