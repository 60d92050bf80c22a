/// Scales that lose least when weights become few integers, by least squares from several
/// beginnings.
///
/// `importance` is what the square of each weight's error counts.
enum BlockFit {
  /// Of x as scale * q, with q from -levels to levels - 1.
  static func symmetric(
    _ x: UnsafeBufferPointer<Float>, importance: UnsafeBufferPointer<Float>, levels: Int
  ) -> Float {
    guard let largest = x.max(by: { abs($0) < abs($1) }), largest != 0 else { return 0 }
    var best: (error: Float, scale: Float) = (.infinity, 0)
    for step in -6...6 {
      // The largest magnitude gets the integer that has no counterpart.
      var scale = largest / (-Float(levels) + 0.1 * Float(step))
      for _ in 0..<2 {
        var (products, squares): (Float, Float) = (0, 0)
        for (value, weight) in zip(x, importance) {
          let q = quotient(value, scale, -Float(levels), Float(levels - 1))
          products += weight * value * q
          squares += weight * q * q
        }
        if squares > 0, products != 0 { scale = products / squares }
      }
      let error = zip(x, importance).reduce(Float(0)) { sum, pair in
        let q = quotient(pair.0, scale, -Float(levels), Float(levels - 1))
        let difference = pair.0 - scale * q
        return sum + pair.1 * difference * difference
      }
      if error < best.error { best = (error, scale) }
    }
    return best.scale
  }

  /// Of x as minimum + scale * q, with q from 0 to top.
  ///
  /// - Parameter minimumIsNegative: the minimum is at most 0.
  static func affine(
    _ x: UnsafeBufferPointer<Float>, importance: UnsafeBufferPointer<Float>, top: Float,
    minimumIsNegative: Bool
  ) -> (scale: Float, minimum: Float) {
    guard var low = x.min(), let high = x.max() else { return (0, 0) }
    if minimumIsNegative { low = min(low, 0) }
    guard high > low else { return (0, low) }
    var best: (error: Float, scale: Float, minimum: Float) = (.infinity, 0, low)
    for step in -4...12 {
      var (scale, minimum) = ((high - low) / (top + 0.1 * Float(step)), low)
      for _ in 0..<2 {
        (scale, minimum) = refined(x, importance, scale, minimum, top, minimumIsNegative)
      }
      let error = zip(x, importance).reduce(Float(0)) { sum, pair in
        let q = quotient(pair.0 - minimum, scale, 0, top)
        let difference = pair.0 - (minimum + scale * q)
        return sum + pair.1 * difference * difference
      }
      if error < best.error { best = (error, scale, minimum) }
    }
    return (best.scale, best.minimum)
  }

  /// Scale and minimum that fit the integers which the given ones lead to.
  private static func refined(
    _ x: UnsafeBufferPointer<Float>, _ importance: UnsafeBufferPointer<Float>, _ scale: Float,
    _ minimum: Float, _ top: Float, _ minimumIsNegative: Bool
  ) -> (Float, Float) {
    var (sumQ, sumX, sumQQ, sumXQ): (Float, Float, Float, Float) = (0, 0, 0, 0)
    var count: Float = 0
    for (value, weight) in zip(x, importance) {
      let q = quotient(value - minimum, scale, 0, top)
      count += weight
      sumQ += weight * q
      sumX += weight * value
      sumQQ += weight * q * q
      sumXQ += weight * value * q
    }
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
