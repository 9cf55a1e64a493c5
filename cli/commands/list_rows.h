#pragma once

#include <vector>

#include "cli/format/listing.h"

namespace pouch::cli {

/// A container of a list as `ps` shows it.
Row container_row(const Json::Value& container, bool truncate);
Row container_headers();

/// An image of a list as `images` shows it: a line for each of its names, of which there is at least one.
std::vector<Row> image_rows(const Json::Value& image, bool with_digests, bool truncate);
Row image_headers();

}  // namespace pouch::cli
