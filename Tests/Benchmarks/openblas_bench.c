/* openblas_bench THREADS SECONDS NxKxM...: operations a second of y[M,N] = x[M,K] w[N,K]^T in float32, as JSON. Each
   figure is the best of what OpenBLAS offers for it: weights as they are or transposed, and for one row the product of
   a matrix with a vector; of each the median of three runs of SECONDS after a warm-up. */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
  int m, n, k;
  float *x, *w, *y;
  size_t next, copies;  // of w, which products take in turn, as layers do
} product;

/// Bytes of all copies, about.
static const size_t spread = 128 << 20;

static const float *weights(product *p) { return p->w + p->next++ % p->copies * p->n * p->k; }

static void gemm(product *p) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, p->m, p->n, p->k, 1, p->x, p->k, weights(p), p->k, 0, p->y, p->n);
}

static void gemm_transposed(product *p) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, p->m, p->n, p->k, 1, p->x, p->k, weights(p), p->n, 0, p->y, p->n);
}

static void gemv(product *p) {
  cblas_sgemv(CblasRowMajor, CblasNoTrans, p->n, p->k, 1, weights(p), p->k, p->x, 1, 0, p->y, 1);
}

static void gemv_transposed(product *p) {
  cblas_sgemv(CblasRowMajor, CblasTrans, p->k, p->n, 1, weights(p), p->n, p->x, 1, 0, p->y, 1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

static double rate(void (*run)(product *), product *p, double seconds) {
  double start = now(), end;
  long count = 0;
  do {
    run(p);
    count++;
    end = now();
  } while (end - start < seconds);
  return 2.0 * p->m * p->n * p->k * count / (end - start);
}

static int rising(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

static double median_rate(void (*run)(product *), product *p, double seconds) {
  double rates[3];
  rate(run, p, seconds);
  for (int i = 0; i < 3; i++) rates[i] = rate(run, p, seconds);
  qsort(rates, 3, sizeof *rates, rising);
  return rates[1];
}

static float *numbers(size_t count) {
  float *values = aligned_alloc(64, (count * sizeof *values + 63) / 64 * 64);
  if (!values) exit(1);
  for (size_t i = 0; i < count; i++) values[i] = (float)(i * 7919 % 2003) / 1001 - 1;
  return values;
}

int main(int count, char **arguments) {
  if (count < 4) return 64;
  openblas_set_num_threads(atoi(arguments[1]));
  double seconds = atof(arguments[2]);
  printf("{\"config\": \"%s, %s, %d threads\", \"products\": [", openblas_get_config(), openblas_get_corename(),
         openblas_get_num_threads());
  for (int i = 3; i < count; i++) {
    product p;
    if (sscanf(arguments[i], "%dx%dx%d", &p.n, &p.k, &p.m) != 3) return 64;
    p.x = numbers((size_t)p.m * p.k);
    p.next = 0;
    p.copies = 1 + spread / ((size_t)p.n * p.k * sizeof *p.w);
    p.w = numbers(p.copies * p.n * p.k);
    p.y = numbers((size_t)p.m * p.n);
    void (*ways[])(product *) = {gemm, gemm_transposed, gemv, gemv_transposed};
    double best = 0;
    for (int way = 0; way < (p.m == 1 ? 4 : 2); way++) {
      double found = median_rate(ways[way], &p, seconds);
      if (found > best) best = found;
    }
    printf("%s{\"outputs\": %d, \"inputs\": %d, \"rows\": %d, \"operations_per_second\": %.0f}", i > 3 ? ", " : "", p.n,
           p.k, p.m, best);
    free(p.x);
    free(p.w);
    free(p.y);
  }
  puts("]}");
}
