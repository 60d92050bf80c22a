import Kernels
import Testing

@Suite struct MachinePeakTests {
  /// Every variant but the scalar ones says what its instructions reach.
  @Test(arguments: KernelSet.available)
  func vectorVariantsHaveAPeak(variant: KernelVariant) throws {
    let peak = try MachinePeak(Compute(kernels: KernelSet(variant), threads: 1))
    #expect(peak.bytesRead > 0)
    if variant.rawValue.hasPrefix("avx") {
      let (floats, bytes) = (peak.floatOperations ?? 0, peak.byteOperations ?? 0)
      #expect(floats > 0 && bytes > floats)
    }
  }
}
