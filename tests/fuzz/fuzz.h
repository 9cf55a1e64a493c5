#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// What each fuzzer is: this function, which libFuzzer or replay.cc calls with one input after the other.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace pouch::fuzz {

/// Ends the program where a property does not hold: that is a finding.
void expect(bool holds, std::string_view property);

/// Takes an input apart, from its front.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  /// 0 when nothing is left.
  uint8_t byte();
  /// Up to the next newline, which is taken too.
  std::string_view line();
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

}  // namespace pouch::fuzz
