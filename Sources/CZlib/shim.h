#include <zlib.h>

// zlib's own name for this is a macro, which Swift does not see.
static inline int tally_deflate_init_gzip(z_streamp stream, int level) {
  return deflateInit2(stream, level, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
}
