import CKernels

/// Cosines and sines for rotary position embedding, [position, pair]. The angle is the float32
/// product of position and inverse frequency, as in transformers; its reduction is exact.
package struct RopeTable: Sendable {
  package let inverseFrequencies: [Float]
  /// Multiplies cosine and sine (YaRN and LongRoPE; else 1).
  package let attentionFactor: Float
  package private(set) var positions = 0
  private(set) var cosines: [Float] = []
  private(set) var sines: [Float] = []

  /// - Parameter inverseFrequencies: one per pair of dimensions.
  package init(inverseFrequencies: [Float], attentionFactor: Float = 1, positions: Int = 0) {
    precondition(!inverseFrequencies.isEmpty)
    self.inverseFrequencies = inverseFrequencies
    self.attentionFactor = attentionFactor
    extend(to: positions)
  }

  /// base^(-2i/dimension) for every 2i below the dimension, each step rounded to float32 as
  /// transformers does: 1 / (base ^ (2i / dimension)).
  package static func inverseFrequencies(base: Double, dimension: Int) -> [Float] {
    (0..<(dimension + 1) / 2).map { index in
      let exponent = Float(2 * index) / Float(dimension)
      return 1 / Float(ExactMath.pow(base, Double(exponent)))
    }
  }

  /// Rotates the other way: what takes the gradient of a rotation back through it.
  package var inverted: RopeTable {
    var table = self
    table.sines = sines.map { -$0 }
    return table
  }

  /// Pairs of dimensions that are rotated.
  package var pairs: Int { inverseFrequencies.count }

  /// Makes the table hold positions 0..<count (at most 2^24, beyond which float32 skips positions).
  package mutating func extend(to count: Int) {
    precondition(count <= 1 << 24)
    guard count > positions else { return }
    cosines.reserveCapacity(count * pairs)
    sines.reserveCapacity(count * pairs)
    for position in positions..<count {
      for frequency in inverseFrequencies {
        let (sine, cosine) = ExactMath.sineAndCosine(Float(position) * frequency)
        cosines.append(cosine * attentionFactor)
        sines.append(sine * attentionFactor)
      }
    }
    positions = count
  }
}

/// Functions with the same bits on every machine, from double arithmetic without the C library.
package enum ExactMath {
  /// The exponential function.
  package static func exp(_ x: Double) -> Double { ck_exp_double(x) }
  /// The natural logarithm.
  package static func log(_ x: Double) -> Double { ck_log_double(x) }
  /// `base` > 0.
  package static func pow(_ base: Double, _ exponent: Double) -> Double {
    ck_pow_double(base, exponent)
  }
  /// For |angle| below 2^24.
  package static func sineAndCosine(_ angle: Float) -> (sine: Float, cosine: Float) {
    var sine: Float = 0
    var cosine: Float = 0
    ck_sincos(angle, &sine, &cosine)
    return (sine, cosine)
  }
}
