import CKernels
import Kernels
import TestSupport
import Testing

@Suite struct QuantiseTests {
  struct Quantised: Equatable {
    var values: [Int8]
    var scales: [UInt32]
    var sums: [UInt32]
    var compensation: [[Int32]]
  }

  private func quantise(_ variant: KernelVariant, _ x: [Float]) throws -> Quantised {
    let table = try #require(ck_table_of(ck_variant(UInt32(variant.index))))
    var values = [Int8](repeating: 99, count: x.count)
    var meta = [ck_qmeta](repeating: ck_qmeta(), count: x.count / 32)
    table.pointee.quantise(x, x.count, &values, &meta)
    func canonical(_ x: Float) -> UInt32 { x.isNaN ? 0x7fc0_0000 : x.bitPattern }
    return Quantised(
      values: values, scales: meta.map { canonical($0.scale) },
      sums: meta.map { canonical($0.scaled_sum) },
      compensation: meta.map { [$0.comp8, $0.comp4, $0.comp6.0, $0.comp6.1] })
  }

  @Test(arguments: Draw.allCases)
  func everyVariantGivesTheReferenceBits(draw: Draw) throws {
    for seed in testSeeds(200) {
      var random = SeededRandom(seed: seed)
      let x = random.values(96, draw)
      let truth = try quantise(.scalarSoftware, x)
      for variant in variants {
        #expect(try quantise(variant, x) == truth, "\(variant) seed \(seed)")
      }
    }
  }

  @Test(arguments: KernelSet.available)
  func blocksFollowTheDefinition(variant: KernelVariant) throws {
    var x = [Float](repeating: 0, count: 32)
    #expect(try quantise(variant, x).values.allSatisfy { $0 == 0 })
    #expect(try quantise(variant, x).scales == [0])
    (x[0], x[1], x[2], x[3], x[4]) = (127, -127, 0.5, 1.5, -2.5)
    let ties = try quantise(variant, x)
    #expect(Array(ties.values[0..<5]) == [127, -127, 0, 2, -2])
    #expect(ties.scales == [Float(1).bitPattern] && ties.sums == [Float(0).bitPattern])
    #expect(ties.compensation == [[0, 0, 0, 0]])
    // Below 2^-100 a block is zero: 127 / maximum would overflow soon.
    x = [Float](repeating: 0x1p-101, count: 32)
    #expect(try quantise(variant, x).scales == [0])
    x = [Float](repeating: 0x1p-100, count: 32)
    #expect(try quantise(variant, x).values.allSatisfy { $0 == 127 })
    x = [Float](repeating: .greatestFiniteMagnitude, count: 32)
    #expect(try quantise(variant, x).values.allSatisfy { $0 == 127 })
    x[7] = .nan
    #expect(try quantise(variant, x).scales == [0x7fc0_0000])
    x[7] = -.infinity
    #expect(try quantise(variant, x).scales == [0x7fc0_0000])
    #expect(try quantise(variant, x).values.allSatisfy { $0 == 0 })
  }
}
