import Kernels
import Testing

@Suite struct MachinePeakTests {
  @Test func theBestVariantHasAPeak() throws {
    let kernels = try KernelSet.best(environment: [:])
    let peak = try MachinePeak(Compute(kernels: kernels, threads: 1))
    #expect(peak.bytesRead > 0)
    if kernels.variant.rawValue.hasPrefix("avx") {
      let (floats, bytes) = (peak.floatOperations ?? 0, peak.byteOperations ?? 0)
      #expect(floats > 0 && bytes > floats)
    }
  }
}
