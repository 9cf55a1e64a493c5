#include "core/container/names.h"

#include <sys/random.h>

#include <algorithm>
#include <array>

#include "core/base/text.h"

namespace pouch::container {
namespace {

constexpr size_t kMaxName = 255;

constexpr std::array<std::string_view, 64> kAdjectives{
    "able",   "agile", "amber",  "apt",    "awake",  "bold",   "brave",   "bright", "brisk",   "calm",
    "candid", "clear", "clever", "cosy",   "crisp",  "daring", "deft",    "eager",  "earnest", "easy",
    "even",   "fair",  "fleet",  "fond",   "frank",  "fresh",  "gentle",  "glad",   "golden",  "grand",
    "happy",  "hardy", "honest", "humble", "jolly",  "keen",   "kind",    "lively", "lucid",   "merry",
    "mighty", "mild",  "modest", "neat",   "nimble", "noble",  "patient", "plucky", "polite",  "proud",
    "quick",  "quiet", "ready",  "serene", "sharp",  "silent", "sincere", "steady", "sunny",   "swift",
    "tender", "vivid", "warm",   "wise"};

constexpr std::array<std::string_view, 96> kSurnames{
    "abel",         "ampere",     "archimedes", "avogadro",  "babbage",    "banach",     "bardeen",
    "bell",         "bernoulli",  "bessel",     "bohr",      "boltzmann",  "boole",      "born",
    "bose",         "boyle",      "brahe",      "cantor",    "carson",     "cauchy",     "celsius",
    "church",       "copernicus", "coulomb",    "curie",     "dalton",     "darwin",     "descartes",
    "dijkstra",     "dirac",      "edison",     "einstein",  "euclid",     "euler",      "faraday",
    "fermat",       "fermi",      "feynman",    "fibonacci", "fourier",    "franklin",   "galilei",
    "galois",       "gauss",      "germain",    "goedel",    "hamilton",   "heisenberg", "hertz",
    "hilbert",      "hodgkin",    "hooke",      "hopper",    "hubble",     "huygens",    "hypatia",
    "jacobi",       "johnson",    "joule",      "kelvin",    "kepler",     "kirchhoff",  "knuth",
    "kovalevskaya", "lagrange",   "lamarr",     "laplace",   "leibniz",    "liskov",     "lovelace",
    "maxwell",      "meitner",    "mendel",     "mendeleev", "moebius",    "napier",     "newton",
    "noether",      "ohm",        "pascal",     "pasteur",   "pauli",      "planck",     "poincare",
    "ptolemy",      "ramanujan",  "riemann",    "ritchie",   "rutherford", "shannon",    "tesla",
    "thompson",     "turing",     "volta",      "watt",      "wiles"};

bool is_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_name_char(char c) {
  return is_alnum(c) || c == '_' || c == '.' || c == '-';
}

uint32_t random_number() {
  uint32_t value = 0;
  while (::getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value)) {
  }
  return value;
}

}  // namespace

Status check_name(std::string_view name, std::string_view shown) {
  if (name.size() >= 2 && name.size() <= kMaxName && is_alnum(name.front()) &&
      std::all_of(name.begin(), name.end(), is_name_char)) {
    return {};
  }
  if (name.size() > kMaxName) {
    return invalid_argument("Invalid container name " + quote(name, 64) + ": longer than 255 bytes");
  }
  if (shown.empty()) shown = name;
  const bool plain = is_valid_utf8(name) && std::all_of(name.begin(), name.end(), [](char c) {
                       return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
                     });
  return invalid_argument("Invalid container name (" + (plain ? std::string(shown) : quote(shown)) +
                          "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
}

std::string_view strip_slash(std::string_view name) {
  if (name.starts_with('/')) name.remove_prefix(1);
  return name;
}

std::string random_name(int attempt) {
  std::string name(kAdjectives[random_number() % kAdjectives.size()]);
  name += '_';
  name += kSurnames[random_number() % kSurnames.size()];
  if (attempt > 0) name += std::to_string(random_number() % (attempt > 3 ? 100000U : 10U));
  return name;
}

}  // namespace pouch::container
