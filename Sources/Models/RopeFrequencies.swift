import Kernels
import ModelFormats

/// The inverse frequencies of a rotation, every step rounded to float32 as in transformers'
/// `modeling_rope_utils.py`.
struct RopeFrequencies {
  let loader: WeightLoader
  let contextLength: Int

  /// One value per pair of components.
  ///
  /// - Throws: `FormatError` when a tensor of factors is missing or makes an angle that cannot be
  ///   computed with.
  func values(_ rope: ModelDescription.Rope) throws -> [Float] {
    let plain = RopeTable.inverseFrequencies(base: rope.base, dimension: rope.dimensions)
    let scaled =
      switch rope.scaling {
      case .none: plain
      case .linear(let factor): plain.map { $0 / Float(factor) }
      case .llama3(let factor, let low, let high, let original):
        plain.map { llama3($0, factor, low, high, original) }
      case .yarn(let factor, let fast, let slow, let original, let isTruncated):
        yarn(
          rope, factor, bound(fast, rope, original, isTruncated ? .down : .toNearestOrEven),
          bound(slow, rope, original, isTruncated ? .up : .toNearestOrEven))
      case .proportional(let rotated, let factor):
        plain.enumerated().map { $0 < rotated ? $1 / Float(factor) : 0 }
      case .tensor(let name):
        zip(
          plain, try loader.vector(TensorRequirement(name: name, shape: [rope.pairs]))
        ).map { $0 / $1 }
      }
    // Beyond 2^24 a float32 angle no longer tells positions apart, and its reduction is not
    // defined.
    for value in scaled
    where !(value.isFinite && value >= 0 && value * Float(contextLength) <= 16_777_216) {
      throw FormatError(
        .unsupported, file: loader.source.name,
        reason: "a rope frequency is \(value), out of range for \(contextLength) positions")
    }
    return scaled
  }

  /// `_compute_llama3_parameters`, in its order of operations.
  private func llama3(
    _ frequency: Float, _ factor: Double, _ low: Double, _ high: Double, _ original: Double
  ) -> Float {
    let wavelength = Float(2 * Double.pi) / frequency
    if wavelength > Float(original / low) { return frequency / Float(factor) }
    if wavelength < Float(original / high) { return frequency }
    let smooth = (Float(original) / wavelength - Float(low)) / Float(high - low)
    return (1 - smooth) * frequency / Float(factor) + smooth * frequency
  }

  /// `find_correction_dim`: the component whose wavelength fits into the original context so many
  /// times.
  private func bound(
    _ rotations: Double, _ rope: ModelDescription.Rope, _ original: Double,
    _ rule: FloatingPointRoundingRule
  ) -> Double {
    let fits = ExactMath.log(original / (rotations * 2 * Double.pi))
    let dimension = Double(rope.dimensions) * fits / (2 * ExactMath.log(rope.base))
    return rule == .toNearestOrEven ? dimension : dimension.rounded(rule)
  }

  /// `_compute_yarn_parameters`, in its order of operations.
  private func yarn(
    _ rope: ModelDescription.Rope, _ factor: Double, _ low: Double, _ high: Double
  ) -> [Float] {
    let first = max(low, 0)
    var last = min(high, Double(rope.dimensions - 1))
    if first == last { last += 0.001 }
    return (0..<rope.pairs).map { index in
      let exponent = Float(2 * index) / Float(rope.dimensions)
      let power = Float(ExactMath.pow(rope.base, Double(exponent)))
      let (kept, divided) = (1 / power, 1 / (Float(factor) * power))
      let ramp = min(1, max(0, (Float(index) - Float(first)) / Float(last - first)))
      let share = 1 - ramp
      return divided * (1 - share) + kept * share
    }
  }
}
