// How rows are cut into tiles whose height is a constant of each compiled body.
#pragma once

/// Hides how a pointer came about, so that the compiler keeps one register and constant offsets
/// instead of one register for each row, and takes nothing ahead of what is read through it.
#define CK_KEEP(pointer) __asm__("" : "+r"(pointer))

/// Splits `rows` into tiles of nearly equal height, at most `most`.
static CK_INLINE size_t tile_height(size_t rows, size_t most) {
  size_t tiles = (rows + most - 1) / most;
  return (rows + tiles - 1) / tiles;
}

#define CK_SWITCH_2(R, call) \
  switch (R) {               \
    case 1: call(1); break;  \
    default: call(2); break; \
  }
#define CK_SWITCH_3(R, call)      \
  switch (R) {                    \
    case 3: call(3); break;       \
    default: CK_SWITCH_2(R, call) \
  }
#define CK_SWITCH_4(R, call)      \
  switch (R) {                    \
    case 4: call(4); break;       \
    default: CK_SWITCH_3(R, call) \
  }
#define CK_SWITCH_6(R, call)      \
  switch (R) {                    \
    case 5: call(5); break;       \
    case 6: call(6); break;       \
    default: CK_SWITCH_4(R, call) \
  }
#define CK_SWITCH_8(R, call)      \
  switch (R) {                    \
    case 7: call(7); break;       \
    case 8: call(8); break;       \
    default: CK_SWITCH_6(R, call) \
  }
#define CK_SWITCH_12(R, call)     \
  switch (R) {                    \
    case 9: call(9); break;       \
    case 10: call(10); break;     \
    case 11: call(11); break;     \
    case 12: call(12); break;     \
    default: CK_SWITCH_8(R, call) \
  }
#define CK_SWITCH_14(R, call)      \
  switch (R) {                     \
    case 13: call(13); break;      \
    case 14: call(14); break;      \
    default: CK_SWITCH_12(R, call) \
  }
