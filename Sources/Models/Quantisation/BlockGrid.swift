import Kernels

/// The values that the weights of one block may have: step * code + offset, with a step and an
/// offset for each group of them.
package struct BlockGrid: Sendable {
  private let format: RoundedFormat
  /// What is stored for all groups, and for each of them.
  private let scale: Half
  private let minimum: Half
  private let scales: [Int]
  private let minima: [Int]

  /// Weights of a group.
  package let groupSize: Int
  /// Of each group.
  package let steps: [Float]
  /// Of each group.
  package let offsets: [Float]
  /// The codes that there are.
  package let codes: ClosedRange<Int>

  /// The grid that loses least.
  ///
  /// - Parameters:
  ///   - x: finite weights of a block.
  ///   - importance: what the square of each one's error counts; none is negative.
  package init(
    fitting x: UnsafeBufferPointer<Float>, importance: UnsafeBufferPointer<Float>,
    _ format: RoundedFormat
  ) {
    self.format = format
    groupSize = format.groupSize
    codes = format.codes
    func part(_ values: UnsafeBufferPointer<Float>, _ group: Int) -> UnsafeBufferPointer<Float> {
      let size = format.groupSize
      return UnsafeBufferPointer(rebasing: values[group * size..<(group + 1) * size])
    }
    switch format {
    case .q8_0, .q5_0, .q4_0:
      let fit = format == .q8_0
        ? x.reduce(0) { max($0, abs($1)) } / 127
        : BlockFit.symmetric(x, importance: importance, levels: -format.codes.lowerBound)
      (scale, minimum, scales, minima) = (Half(fit), Half(0), [], [])
      (steps, offsets) = ([scale.value], [0])
    case .q5_1, .q4_1:
      let fit = BlockFit.affine(
        x, importance: importance, top: Float(format.codes.upperBound), minimumIsNegative: false)
      (scale, minimum, scales, minima) = (Half(fit.scale), Half(fit.minimum), [], [])
      (steps, offsets) = ([scale.value], [minimum.value])
    case .q5K, .q4K:
      let fits = (0..<8).map {
        BlockFit.affine(
          part(x, $0), importance: part(importance, $0), top: Float(format.codes.upperBound),
          minimumIsNegative: true)
      }
      let scale = Half((fits.map(\.scale).max() ?? 0) / 63)
      let minimum = Half((fits.map { -$0.minimum }.max() ?? 0) / 63)
      scales = fits.map { nearestCode($0.scale, scale.value, 0...63) }
      minima = fits.map { nearestCode(-$0.minimum, minimum.value, 0...63) }
      steps = scales.map { scale.value * Float($0) }
      offsets = minima.map { -(minimum.value * Float($0)) }
      (self.scale, self.minimum) = (scale, minimum)
    case .q6K:
      let fits = (0..<16).map {
        BlockFit.symmetric(part(x, $0), importance: part(importance, $0), levels: 32)
      }
      let scale = Half((fits.max { abs($0) < abs($1) } ?? 0) / -128)
      scales = fits.map { nearestCode($0, scale.value, -128...127) }
      steps = scales.map { scale.value * Float($0) }
      offsets = [Float](repeating: 0, count: 16)
      (self.scale, minimum, minima) = (scale, Half(0), [])
    }
  }

  /// The code whose value is nearest to that of the weight at `index`.
  package func nearest(_ value: Float, at index: Int) -> Int8 {
    let group = index / groupSize
    return Int8(nearestCode(value - offsets[group], steps[group], codes))
  }

  /// Writes the block.
  ///
  /// - Parameter codes: of each weight, within `self.codes`.
  package func append(_ codes: UnsafeBufferPointer<Int8>, to bytes: inout [UInt8]) {
    func code(_ index: Int) -> UInt8 {
      UInt8(bitPattern: codes[index] - Int8(self.codes.lowerBound))
    }
    switch format {
    case .q8_0:
      scale.append(to: &bytes)
      for code in codes { bytes.append(UInt8(bitPattern: code)) }
    case .q4_0, .q4_1, .q5_0, .q5_1:
      scale.append(to: &bytes)
      if format == .q4_1 || format == .q5_1 { minimum.append(to: &bytes) }
      if format == .q5_0 || format == .q5_1 {
        // The fifth bit of each code.
        for first in stride(from: 0, to: 32, by: 8) {
          bytes.append((0..<8).reduce(0) { $0 | (code(first + $1) >> 4) << UInt8($1) })
        }
      }
      // The first half in the low nibbles, the second in the high ones.
      for index in 0..<16 { bytes.append(code(index) & 15 | (code(index + 16) & 15) << 4) }
    case .q4K, .q5K:
      scale.append(to: &bytes)
      minimum.append(to: &bytes)
      for index in 0..<4 { bytes.append(UInt8(scales[index] | (scales[index + 4] >> 4) << 6)) }
      for index in 0..<4 { bytes.append(UInt8(minima[index] | (minima[index + 4] >> 4) << 6)) }
      for index in 4..<8 { bytes.append(UInt8(scales[index] & 15 | (minima[index] & 15) << 4)) }
      if format == .q5K {
        // The fifth bits of a column of codes, 32 apart.
        for index in 0..<32 {
          bytes.append((0..<8).reduce(0) { $0 | (code(index + 32 * $1) >> 4) << UInt8($1) })
        }
      }
      for pair in 0..<4 {
        for index in 64 * pair..<64 * pair + 32 {
          bytes.append(code(index) & 15 | (code(index + 32) & 15) << 4)
        }
      }
    case .q6K:
      var (low, high) = ([UInt8](repeating: 0, count: 128), [UInt8](repeating: 0, count: 64))
      for index in codes.indices {
        let (n, j, l) = (index / 128, index / 32 % 4, index % 32)
        low[64 * n + 32 * (j % 2) + l] |= (code(index) & 15) << (j < 2 ? 0 : 4)
        high[32 * n + l] |= (code(index) >> 4) << UInt8(2 * j)
      }
      bytes += low + high + scales.map { UInt8(bitPattern: Int8($0)) }
      scale.append(to: &bytes)
    }
  }
}

/// The nearest multiple of `step`, in it, within bounds.
@inline(__always)
package func nearestCode(_ value: Float, _ step: Float, _ codes: ClosedRange<Int>) -> Int {
  guard step != 0 else { return 0 }
  let quotient = (value / step).rounded(.toNearestOrEven)
  return Int(max(Float(codes.lowerBound), min(Float(codes.upperBound), quotient)))
}

/// A value as it is stored in 16 bits.
private struct Half: Sendable {
  let value: Float
  let bits: UInt16

  init(_ value: Float) {
    let half = Float16(max(-65504, min(65504, value)))
    (self.value, bits) = (Float(half), half.bitPattern)
  }

  func append(to bytes: inout [UInt8]) {
    bytes.append(UInt8(bits & 0xff))
    bytes.append(UInt8(bits >> 8))
  }
}

extension RoundedFormat {
  /// Weights that share a step.
  package var groupSize: Int { self == .q6K ? 16 : 32 }

  /// What weights become.
  package var codes: ClosedRange<Int> {
    switch self {
    case .q8_0: -127...127
    case .q6K: -32...31
    case .q5_0: -16...15
    case .q4_0: -8...7
    case .q5K, .q5_1: 0...31
    case .q4K, .q4_1: 0...15
    }
  }
}
