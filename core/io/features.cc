#include "core/io/wire.h"

namespace pouch::io {

#ifdef POUCH_TEST_FIRST_FEATURES
// An older build's, for tests.
const char* const kProtocolFeatures = "stdio attach json-file";
#else
const char* const kProtocolFeatures = "stdio attach json-file sessions resume ports names input";
#endif

}  // namespace pouch::io
