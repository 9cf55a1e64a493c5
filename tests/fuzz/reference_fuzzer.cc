// Names of images: what was parsed prints, in full and in the familiar form, to what parses to the same, is
// within the documented sizes and holds no byte that would mean something in a URL, a path or a header.

#include <optional>
#include <string>

#include "core/registry/reference.h"
#include "tests/fuzz/fuzz.h"

namespace pouch::fuzz {
namespace {

constexpr size_t kMaxName = 255;
constexpr size_t kMaxTag = 128;
constexpr std::string_view kBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@[]";

void check_same(const Reference& reference, const std::string& text, std::string_view property) {
  const auto again = Reference::parse(text);
  expect(again.is_ok() && *again == reference, property);
}

void check(const Reference& reference) {
  check_same(reference, reference.str(), "a name in full parses to the same");
  check_same(reference, reference.familiar(), "a familiar name parses to the same");
  expect(reference.familiar().size() <= reference.str().size(), "the familiar name is not the longer one");
  expect(reference.repository().size() <= kMaxName, "a repository has 255 bytes at most");
  expect(reference.tag().empty() || is_valid_tag(reference.tag()), "a tag is valid");
  expect(reference.tag().size() <= kMaxTag, "a tag has 128 bytes at most");
  expect(reference.digest().empty() || is_digest(reference.digest().str()), "a digest is one");
  expect(reference.str().find_first_not_of(kBytes) == std::string::npos, "a name holds no other bytes");
  expect(("/" + reference.path() + "/").find("/../") == std::string::npos, "a path does not climb");
  expect(("/" + reference.path() + "/").find("//") == std::string::npos, "a path has no empty part");
}

void check_parse(std::string_view text) {
  const auto parsed = Reference::parse(text);
  if (!parsed.is_ok()) {
    expect(parsed.code() == Code::kInvalidArgument, "a bad name is InvalidArgument");
    return;
  }
  check(*parsed);
  const Reference tagged = parsed->with_default_tag();
  expect(!tagged.is_name_only(), "with the default tag it is no bare name");
  check(tagged);
  check(parsed->with_digest(Digest(sha256_digest(text))));
}

// The two ways in which names come in two parts.
void check_pair(std::string_view repo, std::string_view tag) {
  const auto tagged = Reference::from_repo_and_tag(repo, tag);
  if (tagged.is_ok()) {
    check(*tagged);
    expect(!tagged->tag().empty() && tagged->digest().empty(), "repo and tag give a tag");
  }
  const auto fresh = name_of_new_image(std::string(repo), std::string(tag));
  if (!fresh.is_ok() || !fresh->has_value()) return;
  check(**fresh);
  expect(!(*fresh)->tag().empty() && (*fresh)->digest().empty(), "a new image's name has a tag");
  expect(!tagged.is_ok() || **fresh == *tagged, "both ways give the same name");
}

}  // namespace
}  // namespace pouch::fuzz

// A name; or a repository and a tag in two lines.
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pouch::fuzz;
  Input input(data, size);
  check_parse(input.rest());
  const std::string_view repo = input.line();
  check_pair(repo, input.rest());
  return 0;
}
