// The documents of images. The first byte tells which.
//
// A manifest or an index: digests are digests, sizes are not negative, limits hold, errors name the document,
// entries for a platform are some of those that are there; a manifest that is made of the same parts reads
// the same. An image config: one that is made of what was read says the same, and its defaults survive the
// way through a container's configuration. A platform: its text parses to the same. JSON: what was read and
// is written reads the same.

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "core/api/codec.h"
#include "core/image/archive_images.h"
#include "core/image/image_config.h"
#include "core/image/manifest.h"
#include "tests/fuzz/fuzz.h"

namespace pouch::fuzz {
namespace {

using namespace image;

// So low that small inputs meet them.
ImageLimits limits() {
  ImageLimits limits;
  limits.max_json_bytes = 16'384;
  limits.max_json_depth = 16;
  limits.max_images = 6;
  limits.max_layers = 4;
  return limits;
}

bool is_foreign_error(const Status& status) {
  return status.code() == Code::kInvalidArgument || status.code() == Code::kNotImplemented ||
         status.code() == Code::kResourceExhausted;
}

void check_descriptor(const ctrd::Descriptor& descriptor) {
  expect(is_digest(descriptor.digest.str()), "a descriptor has a digest");
  expect(descriptor.size >= 0, "a descriptor has a size");
}

void check_index(const Manifest& index) {
  expect(index.entries.size() <= limits().max_images, "an index is within the limit");
  for (const IndexEntry& entry : index.entries) check_descriptor(entry.descriptor);
  std::vector<api::Platform> platforms{host_platform()};
  for (const IndexEntry& entry : index.entries)
    if (entry.platform) platforms.push_back(*entry.platform);
  for (const api::Platform& platform : platforms) {
    std::set<const IndexEntry*> seen;
    for (const IndexEntry* entry : entries_for(index.entries, platform)) {
      expect(entry >= &index.entries.front() && entry <= &index.entries.back(), "an entry is of the index");
      expect(!entry->is_attestation, "an attestation is no image");
      expect(seen.insert(entry).second, "an entry is there once");
      expect(!entry->platform || (entry->platform->os == platform.os &&
                                  entry->platform->architecture == platform.architecture),
             "an entry is for the platform");
    }
  }
}

void check_manifest(std::string_view text) {
  const auto manifest = parse_manifest(text, "the manifest", limits());
  if (!manifest.is_ok()) {
    expect(is_foreign_error(manifest.status()), "a bad manifest is the fault of who wrote it");
    expect(manifest.status().message().starts_with("the manifest "), "an error names the document");
    return;
  }
  if (manifest->is_index) {
    check_index(*manifest);
    return;
  }
  check_descriptor(manifest->config);
  expect(manifest->layers.size() <= limits().max_layers, "a manifest is within the limit");
  std::vector<ImageLayer> layers;
  for (const ctrd::Descriptor& layer : manifest->layers) {
    check_descriptor(layer);
    layers.push_back({layer, {}});
  }
  const auto again = parse_manifest(make_manifest(manifest->config, layers), "it", ImageLimits{});
  expect(again.is_ok() && !again->is_index && again->config.digest == manifest->config.digest &&
             again->layers.size() == layers.size(),
         "a manifest that is made anew reads the same");
  for (size_t i = 0; i < layers.size(); ++i)
    expect(again->layers[i].digest == layers[i].blob.digest && again->layers[i].size == layers[i].blob.size &&
               again->layers[i].media_type == layers[i].blob.media_type,
           "a layer of a manifest that is made anew is the same");
}

std::string config_text(const std::optional<api::ImageConfig>& config) {
  return config ? write_json(api::encode_value(*config)) : "{}";
}

void check_config(std::string_view text) {
  const auto facts = parse_image_config(text, limits());
  if (!facts.is_ok()) {
    expect(is_foreign_error(facts.status()), "a bad image config is the fault of who wrote it");
    return;
  }
  expect(!facts->os.empty() && !facts->architecture.empty(), "an image has a platform");
  expect(facts->diff_ids.size() <= limits().max_layers, "an image config is within the limit");
  for (const Digest& id : facts->diff_ids) expect(is_digest(id.str()), "a diff id is a digest");
  const std::vector<ChainId> chain = chain_ids(facts->diff_ids);
  expect(chain.size() == facts->diff_ids.size(), "each layer has a chain id");
  for (const ChainId& id : chain) expect(is_digest(id.str()), "a chain id is a digest");

  const auto again = parse_image_config(make_image_config(*facts, "made anew"), ImageLimits{});
  expect(again.is_ok(), "an image config that is made anew can be read");
  expect(again->os == facts->os && again->architecture == facts->architecture &&
             again->variant == facts->variant && again->diff_ids == facts->diff_ids,
         "an image config that is made anew says the same");
  expect(again->created.to_rfc3339() == facts->created.to_rfc3339(), "its time stays");
  expect(again->comment == "made anew", "its comment is that of its last step");
  expect(config_text(again->config) == config_text(facts->config), "its defaults stay");
  if (facts->config)
    expect(config_text(to_image_config(to_container_config(*facts->config))) == config_text(facts->config),
           "defaults survive a container");
}

void check_platform(std::string_view text) {
  const auto platform = parse_platform_text(text);
  if (!platform.is_ok()) {
    expect(platform.code() == Code::kInvalidArgument, "a bad platform is InvalidArgument");
    return;
  }
  expect(!platform->os.empty() && !platform->architecture.empty(), "a platform is whole");
  const auto again = parse_platform_text(platform_text(*platform));
  expect(again.is_ok() && platform_text(*again) == platform_text(*platform),
         "a platform's text parses to it");
}

void check_json(std::string_view text) {
  const auto value = parse_json(text, {limits().max_json_bytes, limits().max_json_depth});
  if (!value.is_ok()) {
    expect(is_foreign_error(value.status()), "bad JSON is the fault of who wrote it");
    expect(value.status().message().find('\n') == std::string::npos, "an error is one line");
    return;
  }
  for (const std::string& written : {write_json(*value), write_indented_json(*value, "\t")}) {
    const auto again = parse_json(written);
    expect(again.is_ok() && *again == *value, "JSON that is written reads the same");
  }
  expect(write_json(*value).find('\n') == std::string::npos, "JSON is written on one line");
}

}  // namespace
}  // namespace pouch::fuzz

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pouch::fuzz;
  Input input(data, size);
  switch (input.byte()) {
    case 'm':
      check_manifest(input.rest());
      break;
    case 'c':
      check_config(input.rest());
      break;
    case 'p':
      check_platform(input.rest());
      break;
    case 'j':
      check_json(input.rest());
      break;
    default:
      break;
  }
  return 0;
}
