import CKernels

/// Functions of one row, for sampling and tests. They run on the caller's thread.
extension Compute {
  /// exp of each value; 1 ulp, +0 below about -104, infinity above 88.72.
  package func exp(_ x: [Float]) -> [Float] { map(x, table.exp) }
  /// The natural logarithm of each value.
  package func log(_ x: [Float]) -> [Float] { map(x, table.log) }
  /// The hyperbolic tangent of each value.
  package func tanh(_ x: [Float]) -> [Float] { map(x, table.tanh) }
  /// The error function of each value.
  package func erf(_ x: [Float]) -> [Float] { map(x, table.erf) }
  /// 1 / (1 + exp(-x)) of each value.
  package func sigmoid(_ x: [Float]) -> [Float] { map(x, table.sigmoid) }

  /// exp(x - max) divided by its sum.
  package func softmax(_ x: [Float]) -> [Float] { map(x, table.softmax) }

  private typealias RowFunction =
    @convention(c) (
      UnsafePointer<Float>?, Int, UnsafeMutablePointer<Float>?
    ) -> Void

  private func map(_ x: [Float], _ function: RowFunction?) -> [Float] {
    let state = ck_enter()
    defer { ck_leave(state) }
    return [Float](unsafeUninitializedCapacity: x.count) { result, count in
      x.withUnsafeBufferPointer { function?($0.baseAddress, x.count, result.baseAddress) }
      count = x.count
    }
  }

  /// The row's normaliser: `log softmax(row)[i]` is `(row[i] - maximum) - logSum`, in this order.
  package func logSoftmax(_ row: UnsafeMutableBufferPointer<Float>) -> LogSoftmax {
    precondition(!row.isEmpty)
    let state = ck_enter()
    defer { ck_leave(state) }
    var (maximum, sum, logSum): (Float, Float, Float) = (0, 0, 0)
    table.exp_sum(row.baseAddress, row.count, &maximum, &sum)
    table.log(&sum, 1, &logSum)
    return LogSoftmax(maximum: maximum, sum: sum, logSum: logSum)
  }
}

/// What turns a logit into a log-probability.
package struct LogSoftmax: Sendable, Equatable {
  package let maximum: Float
  /// The sum of exp(logit - maximum).
  package let sum: Float
  package let logSum: Float

  /// The natural logarithm of the probability of a token with this logit.
  package func logProbability(of logit: Float) -> Float { (logit - maximum) - logSum }
}

/// Orders and checks of a row of logits.
package enum Logits {
  /// True if any value is infinite or NaN: the request whose row it is fails.
  package static func hasNonFinite(_ row: UnsafeMutableBufferPointer<Float>) -> Bool {
    guard let base = row.baseAddress else { return false }
    return ck_has_nonfinite(base, row.count)
  }

  /// The id of the largest logit; ties go to the lower id. `row` is not empty and finite.
  package static func argMax(_ row: UnsafeMutableBufferPointer<Float>) -> Int {
    // No model has an empty vocabulary: its description is refused before it is loaded.
    guard let base = row.baseAddress else { preconditionFailure("an empty row has no maximum") }
    return ck_argmax(base, row.count)
  }

  /// The `count` first ids in the order (logit descending, id ascending). The row is finite.
  package static func top(_ count: Int, of row: UnsafeMutableBufferPointer<Float>) -> [Int] {
    guard count > 0 else { return [] }
    var order = LogitOrder(row)
    return (0..<min(count, row.count)).compactMap { _ in order.next() }
  }
}
