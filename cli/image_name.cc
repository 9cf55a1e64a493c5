#include "cli/image_name.h"

namespace pouch::cli {

bool has_tag_or_digest(const std::string& image) {
  return image.substr(image.rfind('/') + 1).find_first_of(":@") != std::string::npos;
}

std::string full_name(const std::string& image) {
  const size_t slash = image.find('/');
  if (slash == std::string::npos) return "docker.io/library/" + image;
  const std::string first = image.substr(0, slash);
  const bool is_host = first == "localhost" || first.find_first_of(".:") != std::string::npos;
  return is_host ? image : "docker.io/" + image;
}

std::string registry_of(const std::string& image) {
  const std::string full = full_name(image);
  return full.substr(0, full.find('/'));
}

}  // namespace pouch::cli
