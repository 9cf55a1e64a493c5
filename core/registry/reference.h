#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/id.h"
#include "core/base/status.h"

namespace pouch {

/// The name of an image: a repository with a tag, a digest, both or neither. Immutable after parsing.
///
/// Short names are completed as Docker does it: "busybox" is "docker.io/library/busybox". The *familiar* form
/// is the shortest that parses to the same; it is what people see.
class Reference {
 public:
  /// Parses "[domain[:port]/]path[:tag][@digest]" and completes it; does not add a tag. InvalidArgument with
  /// Moby's "invalid reference format" and the reason. Domain and path together are at most 255 bytes, the
  /// tag at most 128. The digest is sha256.
  static Result<Reference> parse(std::string_view text);
  /// Parses "repo" (no tag, no digest allowed) and "tag" (empty: "latest") as image.tag takes them.
  static Result<Reference> from_repo_and_tag(std::string_view repo, std::string_view tag);

  const std::string& domain() const { return domain_; }  ///< "docker.io", "localhost:5000"
  const std::string& path() const { return path_; }      ///< "library/busybox"
  const std::string& tag() const { return tag_; }        ///< empty: none
  const Digest& digest() const { return digest_; }       ///< empty: none
  bool is_name_only() const { return tag_.empty() && digest_.empty(); }

  /// The same with tag "latest" where there is neither tag nor digest.
  Reference with_default_tag() const;
  /// The repository with this digest and no tag.
  Reference with_digest(Digest digest) const;

  /// "docker.io/library/busybox".
  std::string repository() const { return domain_ + "/" + path_; }
  /// "busybox" for Docker Hub's library, "user/app" for the rest of it, else like repository(); also where
  /// the short form would be read as something else ("docker.io/localhost/app").
  std::string familiar_repository() const;
  /// "docker.io/library/busybox:latest"; the key under which images are kept.
  std::string str() const { return repository() + suffix(); }
  /// "busybox:latest".
  std::string familiar() const { return familiar_repository() + suffix(); }

  friend bool operator==(const Reference&, const Reference&) = default;

 private:
  Reference() = default;
  std::string suffix() const;

  std::string domain_;
  std::string path_;
  std::string tag_;
  Digest digest_;
};

/// The name of an image that is to be made, of "repo" (with or without tag) and "tag"; none without a repo, a
/// tag in any case. InvalidArgument for a digest, and for a tag in both or without a repo.
Result<std::optional<Reference>> name_of_new_image(const std::optional<std::string>& repo,
                                                   const std::optional<std::string>& tag);

/// [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
bool is_valid_tag(std::string_view tag);

}  // namespace pouch
