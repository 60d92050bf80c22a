import Kernels
import ModelFormats

/// Block formats of GGUF (`ggml-common.h`) that float weights can be rounded to.
package enum RoundedFormat: String, CaseIterable, Sendable {
  case q8_0
  case q6K = "q6_k"
  case q4K = "q4_k"
  case q4_1
  case q4_0

  /// How the kernels read it.
  package var type: WeightType {
    switch self {
    case .q8_0: .q8_0
    case .q6K: .q6K
    case .q4K: .q4K
    case .q4_1: .q4_1
    case .q4_0: .q4_0
    }
  }

  /// How files store it.
  var element: ElementType {
    switch self {
    case .q8_0: .q8_0
    case .q6K: .q6K
    case .q4K: .q4K
    case .q4_1: .q4_1
    case .q4_0: .q4_0
    }
  }
}

/// Rounds float32 weights to blocks. What it gives is named by its bytes wherever it is used, so that
/// it may change from one version to the next.
package struct BlockQuantiser: Sendable {
  private let format: RoundedFormat

  package init(_ format: RoundedFormat) { self.format = format }

  /// A row in blocks.
  ///
  /// - Parameter row: finite values, a multiple of the block's size.
  package func row(_ row: UnsafeBufferPointer<Float>) -> [UInt8] {
    let type = format.type
    var bytes: [UInt8] = []
    bytes.reserveCapacity(row.count / type.blockSize * type.blockBytes)
    for start in stride(from: 0, to: row.count, by: type.blockSize) {
      let block = UnsafeBufferPointer(rebasing: row[start..<start + type.blockSize])
      switch format {
      case .q8_0: Self.appendQ8(block, to: &bytes)
      case .q4_1: Self.appendQ41(block, to: &bytes)
      case .q4K: Self.appendQ4K(block, to: &bytes)
      case .q6K: Self.appendQ6K(block, to: &bytes)
      case .q4_0: Self.appendQ40(block, to: &bytes)
      }
    }
    return bytes
  }

  // MARK: Formats

  private static func appendQ8(_ x: UnsafeBufferPointer<Float>, to bytes: inout [UInt8]) {
    let scale = half(x.reduce(0) { max($0, abs($1)) } / 127)
    append(scale, to: &bytes)
    for value in x { bytes.append(UInt8(bitPattern: Int8(round(value, scale.value, -127, 127)))) }
  }

  private static func appendQ40(_ x: UnsafeBufferPointer<Float>, to bytes: inout [UInt8]) {
    let scale = half(BlockFit.symmetric(x, levels: 8))
    append(scale, to: &bytes)
    appendNibbles(x.map { UInt8(round($0, scale.value, -8, 7) + 8) }, to: &bytes)
  }

  private static func appendQ41(_ x: UnsafeBufferPointer<Float>, to bytes: inout [UInt8]) {
    let fit = BlockFit.affine(x, top: 15, minimumIsNegative: false)
    let (scale, minimum) = (half(fit.scale), half(fit.minimum))
    append(scale, to: &bytes)
    append(minimum, to: &bytes)
    appendNibbles(
      x.map { UInt8(round($0 - minimum.value, scale.value, 0, 15)) }, to: &bytes)
  }

  /// Eight scales and minima of 32 weights each, in 6 bits, times one of each for all.
  private static func appendQ4K(_ x: UnsafeBufferPointer<Float>, to bytes: inout [UInt8]) {
    let fits = (0..<8).map { index in
      BlockFit.affine(part(x, index, 32), top: 15, minimumIsNegative: true)
    }
    let scale = half((fits.map(\.scale).max() ?? 0) / 63)
    let minimum = half((fits.map { -$0.minimum }.max() ?? 0) / 63)
    let scales = fits.map { round($0.scale, scale.value, 0, 63) }
    let minima = fits.map { round(-$0.minimum, minimum.value, 0, 63) }
    append(scale, to: &bytes)
    append(minimum, to: &bytes)
    bytes += (0..<4).map { UInt8(scales[$0] | (scales[$0 + 4] >> 4) << 6) }
    bytes += (0..<4).map { UInt8(minima[$0] | (minima[$0 + 4] >> 4) << 6) }
    bytes += (0..<4).map { UInt8(scales[$0 + 4] & 15 | (minima[$0 + 4] & 15) << 4) }
    let codes = (0..<8).map { index in
      let own = scale.value * Float(scales[index])
      let least = minimum.value * Float(minima[index])
      return part(x, index, 32).map { UInt8(round($0 + least, own, 0, 15)) }
    }
    for pair in 0..<4 {
      bytes += zip(codes[2 * pair], codes[2 * pair + 1]).map { $0 | $1 << 4 }
    }
  }

  /// Sixteen scales of 16 weights each, in 8 bits, times one for all.
  private static func appendQ6K(_ x: UnsafeBufferPointer<Float>, to bytes: inout [UInt8]) {
    let fits = (0..<16).map { BlockFit.symmetric(part(x, $0, 16), levels: 32) }
    let largest = fits.max { abs($0) < abs($1) } ?? 0
    let scale = half(largest / -128)
    let scales = fits.map { round($0, scale.value, -128, 127) }
    let codes = (0..<16).flatMap { index in
      let own = scale.value * Float(scales[index])
      return part(x, index, 16).map { UInt8(round($0, own, -32, 31) + 32) }
    }
    var (low, high) = ([UInt8](repeating: 0, count: 128), [UInt8](repeating: 0, count: 64))
    for (index, code) in codes.enumerated() {
      let (n, j, l) = (index / 128, index / 32 % 4, index % 32)
      low[64 * n + 32 * (j % 2) + l] |= (code & 15) << (j < 2 ? 0 : 4)
      high[32 * n + l] |= (code >> 4) << UInt8(2 * j)
    }
    bytes += low + high + scales.map { UInt8(bitPattern: Int8($0)) }
    append(scale, to: &bytes)
  }

  // MARK: Parts

  private static func part(
    _ x: UnsafeBufferPointer<Float>, _ index: Int, _ size: Int
  ) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(rebasing: x[index * size..<(index + 1) * size])
  }

  private static func half(_ value: Float) -> (value: Float, bits: UInt16) {
    let clamped = max(-65504, min(65504, value))
    let half = Float16(clamped)
    return (Float(half), half.bitPattern)
  }

  private static func append(_ half: (value: Float, bits: UInt16), to bytes: inout [UInt8]) {
    bytes.append(UInt8(half.bits & 0xff))
    bytes.append(UInt8(half.bits >> 8))
  }

  /// The first half in the low nibbles, the second in the high ones.
  private static func appendNibbles(_ codes: [UInt8], to bytes: inout [UInt8]) {
    bytes += zip(codes.prefix(16), codes.suffix(16)).map { $0 | $1 << 4 }
  }

  /// The nearest multiple of `scale`, in it, within bounds.
  private static func round(_ value: Float, _ scale: Float, _ low: Int, _ high: Int) -> Int {
    guard scale != 0 else { return 0 }
    let quotient = (value / scale).rounded(.toNearestOrEven)
    return Int(max(Float(low), min(Float(high), quotient)))
  }
}

/// Scales that lose least when weights become few integers, by least squares from several beginnings.
enum BlockFit {
  /// Of x as scale * q, with q from -levels to levels - 1.
  static func symmetric(_ x: UnsafeBufferPointer<Float>, levels: Int) -> Float {
    guard let largest = x.max(by: { abs($0) < abs($1) }), largest != 0 else { return 0 }
    var best: (error: Float, scale: Float) = (.infinity, 0)
    for step in -6...6 {
      // The largest magnitude gets the integer that has no counterpart.
      var scale = largest / (-Float(levels) + 0.1 * Float(step))
      for _ in 0..<2 {
        var (products, squares): (Float, Float) = (0, 0)
        for value in x {
          let q = quotient(value, scale, -Float(levels), Float(levels - 1))
          products += value * q
          squares += q * q
        }
        if squares > 0, products != 0 { scale = products / squares }
      }
      let error = x.reduce(Float(0)) { sum, value in
        let q = quotient(value, scale, -Float(levels), Float(levels - 1))
        let difference = value - scale * q
        return sum + difference * difference
      }
      if error < best.error { best = (error, scale) }
    }
    return best.scale
  }

  /// Of x as minimum + scale * q, with q from 0 to top.
  ///
  /// - Parameter minimumIsNegative: the minimum is at most 0.
  static func affine(
    _ x: UnsafeBufferPointer<Float>, top: Float, minimumIsNegative: Bool
  ) -> (scale: Float, minimum: Float) {
    guard var low = x.min(), let high = x.max() else { return (0, 0) }
    if minimumIsNegative { low = min(low, 0) }
    guard high > low else { return (0, low) }
    var best: (error: Float, scale: Float, minimum: Float) = (.infinity, 0, low)
    for step in -4...12 {
      var (scale, minimum) = ((high - low) / (top + 0.1 * Float(step)), low)
      for _ in 0..<2 {
        (scale, minimum) = refined(x, scale, minimum, top, minimumIsNegative)
      }
      let error = x.reduce(Float(0)) { sum, value in
        let q = quotient(value - minimum, scale, 0, top)
        let difference = value - (minimum + scale * q)
        return sum + difference * difference
      }
      if error < best.error { best = (error, scale, minimum) }
    }
    return (best.scale, best.minimum)
  }

  /// Scale and minimum that fit the integers which the given ones lead to.
  private static func refined(
    _ x: UnsafeBufferPointer<Float>, _ scale: Float, _ minimum: Float, _ top: Float,
    _ minimumIsNegative: Bool
  ) -> (Float, Float) {
    var (sumQ, sumX, sumQQ, sumXQ): (Float, Float, Float, Float) = (0, 0, 0, 0)
    for value in x {
      let q = quotient(value - minimum, scale, 0, top)
      sumQ += q
      sumX += value
      sumQQ += q * q
      sumXQ += value * q
    }
    let count = Float(x.count)
    let determinant = count * sumQQ - sumQ * sumQ
    guard determinant > 0 else { return (scale, minimum) }
    let slope = (count * sumXQ - sumX * sumQ) / determinant
    let start = (sumX - slope * sumQ) / count
    if minimumIsNegative, start > 0 {
      return sumQQ > 0 ? (max(0, sumXQ / sumQQ), 0) : (scale, minimum)
    }
    return slope > 0 ? (slope, start) : (scale, minimum)
  }

  private static func quotient(
    _ value: Float, _ scale: Float, _ low: Float, _ high: Float
  ) -> Float {
    guard scale != 0 else { return 0 }
    return max(low, min(high, (value / scale).rounded(.toNearestOrEven)))
  }
}
