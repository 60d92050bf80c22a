import CKernels
import Foundation
import Kernels
import TestSupport
import Testing

/// The C library's exp in double: truth for tests only.
func exactExp(_ x: Double) -> Double { Foundation.exp(x) }
func exactTanh(_ x: Double) -> Double { Foundation.tanh(x) }

/// Distance of `value` from `truth` in units of the last place of float32 at `truth`.
private func error(_ value: Float, _ truth: Double) -> Double {
  let nearest = Float(truth)
  if nearest.isInfinite || value.isInfinite { return nearest == value ? 0 : .infinity }
  return abs(Double(value) - truth) / Double(max(nearest.ulp, Float.leastNonzeroMagnitude))
}

@Suite struct AccuracyTests {
  private func worst(
    _ x: [Float], _ function: (Compute, [Float]) -> [Float], _ truth: (Double) -> Double
  ) throws -> Double {
    let best = try compute(try #require(KernelSet.available.last))
    return zip(x, function(best, x)).map { error($1, truth(Double($0))) }.max() ?? 0
  }

  @Test func exponentialsAreWithinAnUlp() throws {
    var random = SeededRandom(seed: 1)
    let x = (0..<200_000).map { _ in Float.random(in: -103...88.8, using: &random) }
    #expect(try worst(x, { $0.exp($1) }, { Foundation.exp($0) }) < 1.01)
  }

  @Test func exponentialsHaveTheirLimits() throws {
    let best = try compute(try #require(KernelSet.available.last))
    let y = best.exp([0, -0.0, .infinity, -.infinity, .nan, 88.8, -104, 1e30, -1e30])
    #expect(y[0] == 1 && y[1] == 1 && y[2] == .infinity && y[3].bitPattern == 0 && y[4].isNaN)
    #expect(y[5] == .infinity && y[6].bitPattern == 0 && y[7] == .infinity && y[8] == 0)
  }

  @Test func logarithmsAreWithinAnUlp() throws {
    var random = SeededRandom(seed: 2)
    let x = (0..<200_000).map { _ in
      Float(bitPattern: UInt32.random(in: 1..<0x7f80_0000, using: &random))
    }
    #expect(try worst(x, { $0.log($1) }, { Foundation.log($0) }) < 1.01)
    let near = (0..<100_000).map { _ in Float.random(in: 0.5...2, using: &random) }
    #expect(try worst(near, { $0.log($1) }, { Foundation.log($0) }) < 1.01)
    let best = try compute(try #require(KernelSet.available.last))
    let y = best.log([1, 0, -1, .infinity, .nan])
    #expect(y[0].bitPattern == 0 && y[1] == -.infinity && y[2].isNaN && y[3] == .infinity)
    #expect(y[4].isNaN)
  }

  @Test func hyperbolicTangentsAndSigmoidsAreWithinTwoUlp() throws {
    var random = SeededRandom(seed: 3)
    let x = (0..<200_000).map { _ in
      Float.random(in: -12...12, using: &random) * (random.chance(0.3) ? 0.01 : 1)
    }
    #expect(try worst(x, { $0.tanh($1) }, { Foundation.tanh($0) }) < 2)
    #expect(try worst(x, { $0.sigmoid($1) }, { 1 / (1 + Foundation.exp(-$0)) }) < 2.5)
  }

  @Test func errorFunctionsAreWithinTwoUlp() throws {
    var random = SeededRandom(seed: 7)
    let x = (0..<200_000).map { _ in
      Float.random(in: -4.5...4.5, using: &random) * (random.chance(0.3) ? 0.01 : 1)
    }
    #expect(try worst(x, { $0.erf($1) }, { Foundation.erf($0) }) < 1.1)
    let best = try compute(try #require(KernelSet.available.last))
    let tiny = Float(bitPattern: 1000)
    let y = best.erf([0, -0.0, .infinity, -.infinity, .nan, tiny, 30])
    #expect(y[0].bitPattern == 0 && y[1].bitPattern == 0x8000_0000 && y[2] == 1 && y[3] == -1)
    #expect(y[4].isNaN && y[5].bitPattern == 1128 && y[6] == 1)
  }

  @Test func rotationTablesAreCorrectlyRounded() {
    var random = SeededRandom(seed: 4)
    for index in 0..<200_000 {
      let top: Float = index % 2 == 0 ? 10 : 16_777_215
      let angle = Float.random(in: 0...top, using: &random)
      let (sine, cosine) = ExactMath.sineAndCosine(angle)
      #expect(error(sine, Foundation.sin(Double(angle))) <= 0.5001)
      #expect(error(cosine, Foundation.cos(Double(angle))) <= 0.5001)
    }
  }

  @Test func doubleFunctionsAreCloseToTheCLibrary() {
    var random = SeededRandom(seed: 5)
    for _ in 0..<100_000 {
      let x = Double.random(in: -700...700, using: &random)
      #expect(abs(ExactMath.exp(x) / Foundation.exp(x) - 1) < 1e-15)
      let y = Double.random(in: 1e-6...1e6, using: &random)
      #expect(abs(ExactMath.log(y) - Foundation.log(y)) < 4e-15)
      let z = Double.random(in: 0...1, using: &random)
      #expect(abs(ExactMath.pow(y, z) / Foundation.pow(y, z) - 1) < 1e-14)
    }
  }

  @Test func inverseFrequenciesAreThoseOfTransformers() {
    // torch: 1.0 / (10000.0 ** (torch.arange(0, 8, 2).float() / 8))
    #expect(RopeTable.inverseFrequencies(base: 10000, dimension: 8) == [1, 0.1, 0.01, 0.001])
    for (base, dimension) in [(10_000.0, 64), (500_000.0, 128), (1_000_000.0, 96)] {
      let values = RopeTable.inverseFrequencies(base: base, dimension: dimension)
      #expect(values.count == dimension / 2)
      for (index, value) in values.enumerated() {
        let exponent = Double(Float(2 * index) / Float(dimension))
        #expect(abs(Double(value) * Foundation.pow(base, exponent) - 1) < 1.2e-7)
      }
    }
  }

  /// Against the C library, over products that lie near the middle between two floats.
  @Test(arguments: [KernelVariant.scalarSoftware, .portable])
  func softwareMultiplyAddsRoundOnce(variant: KernelVariant) throws {
    let software = try compute(variant)
    // a = (1+2^-12) 2^-24, b = 1 - 4095 x 2^-24, c = 1: rounding twice gives 1 instead of 1 +
    // 2^-23.
    let a = Float(1 + 0x1p-12) * 0x1p-24
    let b = Float(1 - 4095 * 0x1p-24)
    #expect(try product(software, [1, a], [1, b]) == Float(1).addingProduct(a, b))
    var random = SeededRandom(seed: 6)
    for _ in 0..<50_000 {
      let c = random.value(.extreme)
      let (x, y) = (random.value(.extreme), random.value(.extreme))
      #expect(
        sameBits([try product(software, [c, x], [1, y])], [c.addingProduct(x, y) + 0]),
        "\(c) + \(x) * \(y)")
    }
    for _ in 0..<50_000 {
      let (c, x, y) = nearMiddle(&random)
      #expect(
        sameBits([try product(software, [c, x], [1, y])], [c.addingProduct(x, y) + 0]),
        "\(c) + \(x) * \(y)")
    }
  }

  /// Numbers with c + x y just beside the middle between two floats, or in it; half of the time the
  /// floats are subnormal.
  private func nearMiddle(_ random: inout SeededRandom) -> (c: Float, x: Float, y: Float) {
    let exponent = random.chance(0.5) ? Int.random(in: -149 ... -127, using: &random)
      : Int.random(in: -126...100, using: &random)
    let significand = Float.random(in: 1..<2, using: &random)
    let c = Float(sign: .plus, exponent: exponent, significand: significand)
    let middle = c.ulp.exponent - 1
    // (1 + e)(1 - e) = 1 - e^2, far below the last bit of a double beside c.
    let e = Float(
      sign: .plus, exponent: Int.random(in: -23 ... -12, using: &random), significand: 1)
    let half = Int(middle) / 2
    let x = (1 + (random.chance(0.2) ? 0 : e)) * Float(sign: .plus, exponent: half, significand: 1)
    let y = (1 - e) * Float(sign: .plus, exponent: Int(middle) - half, significand: 1)
    return (random.chance(0.5) ? c : -c, random.chance(0.5) ? x : -x, y)
  }

  /// fma(x[1], y[1], x[0]) with y[0] = 1, through a matrix product.
  private func product(_ compute: Compute, _ x: [Float], _ y: [Float]) throws -> Float {
    let weights = try PackedWeights(
      .f32, outputs: 1, inputs: 2, bytes: y.withUnsafeBytes { Array($0) })
    let result = try Tensor(rows: 0, columns: 1)
    try compute.matmul(try Tensor([x]), weights, into: result)
    return result[0][0]
  }
}
