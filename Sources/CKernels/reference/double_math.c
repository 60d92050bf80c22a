// exp, log, pow, sin and cos in plain double arithmetic: for tables, where speed is no matter and
// the error must vanish in the rounding to float32. Separate multiplications and additions, in the
// order written.
#include "scalar.h"

#pragma STDC FP_CONTRACT OFF

static double times_power_of_two(double x, int64_t n) {
  for (; n > 1000; n -= 1000) x *= 0x1p+1000;
  for (; n < -1000; n += 1000) x *= 0x1p-1000;
  uint64_t u = (uint64_t)(n + 1023) << 52;
  double factor;
  memcpy(&factor, &u, sizeof factor);
  return x * factor;
}

/// The nearest integer, ties to even, of a magnitude below 2^51.
static double nearest(double x) { return (x + 0x1.8p+52) - 0x1.8p+52; }

static double horner(const double *c, int n, double x) {
  double sum = c[n - 1];
  for (int i = n - 2; i >= 0; i--) sum = sum * x + c[i];
  return sum;
}

double ck_exp_double(double x) {
  // 1/n! for n = 0...13
  static const double c[] = {
      1,
      1,
      0x1p-1,
      0x1.5555555555555p-3,
      0x1.5555555555555p-5,
      0x1.1111111111111p-7,
      0x1.6c16c16c16c17p-10,
      0x1.a01a01a01a01ap-13,
      0x1.a01a01a01a01ap-16,
      0x1.71de3a556c734p-19,
      0x1.27e4fb7789f5cp-22,
      0x1.ae64567f544e4p-26,
      0x1.1eed8eff8d898p-29,
      0x1.6124613a86d09p-33,
  };
  if (x != x) return x;
  if (x > 710) return __builtin_inf();
  if (x < -746) return 0;
  double n = nearest(x * 0x1.71547652b82fep+0);
  double r = (x - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33;
  return times_power_of_two(horner(c, 14, r), (int64_t)n);
}

double ck_log_double(double x) {
  // 1/(2n + 1) for n = 0...12
  static const double c[] = {
      1,
      0x1.5555555555555p-2,
      0x1.999999999999ap-3,
      0x1.2492492492492p-3,
      0x1.c71c71c71c71cp-4,
      0x1.745d1745d1746p-4,
      0x1.3b13b13b13b14p-4,
      0x1.1111111111111p-4,
      0x1.e1e1e1e1e1e1ep-5,
      0x1.af286bca1af28p-5,
      0x1.8618618618618p-5,
      0x1.642c8590b2164p-5,
      0x1.47ae147ae147bp-5,
  };
  if (x != x || x < 0) return __builtin_nan("");
  if (x == 0) return -__builtin_inf();
  if (x > 0x1.fffffffffffffp+1023) return x;
  bool tiny = x < 0x1p-1022;
  if (tiny) x *= 0x1p+54;
  uint64_t u;
  memcpy(&u, &x, sizeof u);
  int64_t k = (int64_t)(u >> 52) - 1023 - (tiny ? 54 : 0);
  u = (u & 0xfffffffffffffu) | 0x3ff0000000000000u;
  double m;
  memcpy(&m, &u, sizeof m);
  if (m > 0x1.6a09e667f3bcdp+0) {
    m *= 0.5;
    k += 1;
  }
  double s = (m - 1) / (m + 1);
  double series = (2 * s) * horner(c, 13, s * s);
  return ((double)k * 0x1.a39ef35793c76p-33 + series) + (double)k * 0x1.62e42feep-1;
}

double ck_pow_double(double x, double y) {
  if (y == 0 || x == 1) return 1;
  return ck_exp_double(y * ck_log_double(x));
}

void ck_sincos(float angle, float *sine, float *cosine) {
  // (-1)^n / (2n + 1)! and (-1)^n / (2n)!
  static const double s[] = {
      1,
      -0x1.5555555555555p-3,
      0x1.1111111111111p-7,
      -0x1.a01a01a01a01ap-13,
      0x1.71de3a556c734p-19,
      -0x1.ae64567f544e4p-26,
      0x1.6124613a86d09p-33,
      -0x1.ae7f3e733b81fp-41,
      0x1.952c77030ad4ap-49,
  };
  static const double c[] = {
      1,
      -0x1p-1,
      0x1.5555555555555p-5,
      -0x1.6c16c16c16c17p-10,
      0x1.a01a01a01a01ap-16,
      -0x1.27e4fb7789f5cp-22,
      0x1.1eed8eff8d898p-29,
      -0x1.93974a8c07c9dp-37,
      0x1.ae7f3e733b81fp-45,
      -0x1.6827863b97d97p-53,
  };
  // pi/2 in three parts, the first two of 27 bits, so that n times each is exact.
  double x = (double)angle, n = nearest(x * 0x1.45f306dc9c883p-1);
  double r = ((x - n * 0x1.921fb54p+0) - n * 0x1.10b461p-30) - n * 0x1.a62633145c06ep-58;
  double sin_r = r * horner(s, 9, r * r), cos_r = horner(c, 10, r * r);
  int64_t quadrant = (int64_t)n & 3;
  double high = quadrant & 1 ? cos_r : sin_r, low = quadrant & 1 ? sin_r : cos_r;
  *sine = (float)(quadrant & 2 ? -high : high);
  *cosine = (float)(quadrant == 1 || quadrant == 2 ? -low : low);
}
