#include "core/events/event_filter.h"

#include <gtest/gtest.h>

namespace pouch::events {
namespace {

Event die() {
  return {.type = "container",
          .action = "die",
          .actor_id = "abc123",
          .attributes = {{"name", "web"}, {"image", "busybox:1"}, {"tier", "front"}, {"exitCode", "0"}}};
}

Event exec() {
  Event event = die();
  event.action = "exec_create: sh -c true";
  return event;
}

Event tag() {
  return {.type = "image",
          .action = "tag",
          .actor_id = "sha256:77",
          .attributes = {{"name", "localhost:5000/app:v1"}}};
}

bool matches(const FilterMap& filters, const Event& event) {
  const auto filter = EventFilter::make(filters);
  EXPECT_TRUE(filter.is_ok()) << filter.status().message();
  return filter->matches(event);
}

TEST(EventFilterTest, NoFilterMatchesAll) {
  EXPECT_TRUE(EventFilter::make(std::nullopt)->matches(die()));
  EXPECT_TRUE(matches({{"type", {}}}, die()));
}

TEST(EventFilterTest, UnknownNameIsRefusedInMobysWords) {
  const auto filter = EventFilter::make(FilterMap{{"colour", {"red"}}});
  EXPECT_EQ(filter.code(), Code::kInvalidArgument);
  EXPECT_EQ(filter.status().message(), "invalid filter 'colour'");
}

TEST(EventFilterTest, ValuesAreAlternativesAndFiltersAreCombined) {
  EXPECT_TRUE(matches({{"event", {"start", "die"}}}, die()));
  EXPECT_TRUE(matches({{"event", {"die"}}, {"type", {"container"}}}, die()));
  EXPECT_FALSE(matches({{"event", {"die"}}, {"type", {"image"}}}, die()));
  EXPECT_FALSE(matches({{"scope", {"swarm"}}}, die()));
}

TEST(EventFilterTest, ObjectsAreFoundByBeginningOfIdOrName) {
  EXPECT_TRUE(matches({{"container", {"abc"}}}, die()));
  EXPECT_TRUE(matches({{"container", {"we"}}}, die()));
  EXPECT_FALSE(matches({{"container", {"eb"}}}, die()));
}

TEST(EventFilterTest, ActionIsExactButForThoseWithADetail) {
  EXPECT_FALSE(matches({{"event", {"di"}}}, die()));
  EXPECT_TRUE(matches({{"event", {"exec_create"}}}, exec()));
  EXPECT_TRUE(matches({{"event", {"exec_create: sh -c true"}}}, exec()));
  EXPECT_FALSE(matches({{"event", {"exec_start"}}}, exec()));
}

TEST(EventFilterTest, ImageByReferenceWithOrWithoutTag) {
  EXPECT_TRUE(matches({{"image", {"busybox"}}}, die()));
  EXPECT_TRUE(matches({{"image", {"busybox:1"}}}, die()));
  EXPECT_FALSE(matches({{"image", {"busy"}}}, die()));
  EXPECT_TRUE(matches({{"image", {"localhost:5000/app"}}}, tag()));
  EXPECT_TRUE(matches({{"image", {"localhost:5000/app:v1"}}}, tag()));
}

TEST(EventFilterTest, AllLabelsMustBeThere) {
  EXPECT_TRUE(matches({{"label", {"tier"}}}, die()));
  EXPECT_TRUE(matches({{"label", {"tier=front"}}}, die()));
  EXPECT_FALSE(matches({{"label", {"tier=back"}}}, die()));
  EXPECT_FALSE(matches({{"label", {"tier", "zone"}}}, die()));
}

}  // namespace
}  // namespace pouch::events
