#include "core/io/stream_record.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/io/testing/test_folder.h"

namespace pouch::io {
namespace {

TEST(StreamRecordTest, AnotherWorkerFindsWhatWasNoted) {
  const TestFolder folder;
  const std::string path = folder.file("c1.clients");
  EXPECT_EQ(StreamRecord::open(path, 3).code(), Code::kNotFound);
  {
    auto record = std::move(*StreamRecord::create(path, 3));
    EXPECT_EQ(record->add_client(0), 1U);
    EXPECT_EQ(record->add_client(0), 2U);
    EXPECT_EQ(record->add_client(1), 1U);
    for (uint64_t i = 1; i <= 5; ++i) record->set_mark({{i, 2 * i}, {7, 100}});
  }
  EXPECT_EQ(StreamRecord::open(path, 4).code(), Code::kNotFound) << "of another run";
  auto record = std::move(*StreamRecord::open(path, 3));
  EXPECT_EQ(record->mark().counts.stdout_bytes, 5U);
  EXPECT_EQ(record->mark().counts.stderr_bytes, 10U);
  EXPECT_EQ(record->mark().place.inode, 7U);
  EXPECT_EQ(record->mark().place.offset, 100);
  EXPECT_EQ(record->clients(), (std::vector<uint64_t>{1, 2}));
  record->remove_client(1);
  record->remove_client(0);
  EXPECT_EQ(record->clients(), (std::vector<uint64_t>{2}));
  EXPECT_EQ(record->add_client(0), 3U) << "numbers are not used again";
  EXPECT_EQ(record->add_client(1), 1U) << "it is back";
  record->remove_clients();
  EXPECT_TRUE(record->clients().empty());
}

TEST(StreamRecordTest, HasSoManyPlaces) {
  const TestFolder folder;
  auto record = std::move(*StreamRecord::create(folder.file("c1.clients"), 3));
  for (uint64_t i = 1; i <= 64; ++i) EXPECT_EQ(record->add_client(0), i);
  EXPECT_EQ(record->add_client(0), 0U);
  EXPECT_EQ(record->add_client(7'000'000'000), 0U);
  record->remove_client(5);
  EXPECT_EQ(record->add_client(7'000'000'000), 7'000'000'000U);
  EXPECT_EQ(record->input_of(5), std::nullopt) << "another has its place";
}

TEST(StreamRecordTest, CountsTheInputOfClientsAlsoWhileTheyAreAway) {
  const TestFolder folder;
  const std::string path = folder.file("c1.clients");
  const uint64_t one = uint64_t{1} << 62;
  {
    auto record = std::move(*StreamRecord::create(path, 3));
    EXPECT_EQ(record->input_of(one), std::nullopt);
    EXPECT_EQ(record->add_client(one), one);
    EXPECT_EQ(record->input_of(one), 0U);
    record->set_input(one, 100);
    record->set_input(3, 9);  // nobody
  }
  auto record = std::move(*StreamRecord::open(path, 3));
  EXPECT_EQ(record->input_of(one), 100U);
  record->remove_clients();
  EXPECT_EQ(record->add_client(0), 1U);
  EXPECT_EQ(record->input_of(one), 100U);
  EXPECT_EQ(record->add_client(one), one);
  EXPECT_EQ(record->clients(), (std::vector<uint64_t>{one, 1}));
}

TEST(StreamRecordTest, HalfAFileIsNone) {
  const TestFolder folder;
  const std::string path = folder.file("c1.clients");
  ASSERT_TRUE(sys::write_file_atomic(path, "short", 0600, false).is_ok());
  EXPECT_EQ(StreamRecord::open(path, 3).code(), Code::kNotFound);
}

}  // namespace
}  // namespace pouch::io
