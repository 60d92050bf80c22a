import Kernels
import WirePayloads

/// Picks tokens from logits by the rules of "Sampling" in NUMERICS.md.
///
/// Holds scratch for one vocabulary, so that a token costs no allocation.
package struct Sampler {
  /// A picked token with its log-probability and the alternatives asked for.
  package struct Pick: Equatable, Sendable {
    package var token: Int32
    package var logprob: Float
    package var topTokens: [Int32]
    package var topLogprobs: [Float]
  }

  private let compute: Compute
  /// (logit - maximum) / temperature, and the exponential of that.
  private var scaled: [Float]
  private var weights: [Float] = []

  package init(compute: Compute, vocabularyCount: Int) {
    self.compute = compute
    scaled = Array(repeating: 0, count: vocabularyCount)
  }

  /// Picks the token at `position` (0 for the first generated one) of a sequence.
  ///
  /// - Parameter logits: [V], every one finite; only read.
  package mutating func pick(
    _ logits: UnsafeMutableBufferPointer<Float>, for sequence: GenerateInputs.Sequence, position: Int
  ) -> Pick {
    let token =
      sequence.temperature == 0
      ? Int32(Logits.argMax(logits))
      : draw(logits, for: sequence, at: Philox.uniform(seed: sequence.seed, position: position))
    let row = compute.logSoftmax(logits)
    let top = Logits.top(sequence.topLogprobs ?? 0, of: logits)
    return Pick(
      token: token, logprob: row.logProbability(of: logits[Int(token)]),
      topTokens: top.map { Int32($0) },
      topLogprobs: top.map { row.logProbability(of: logits[$0]) })
  }

  private mutating func draw(
    _ logits: UnsafeMutableBufferPointer<Float>, for sequence: GenerateInputs.Sequence, at u: Double
  ) -> Int32 {
    let maximum = logits[Logits.argMax(logits)]
    for id in logits.indices { scaled[id] = (logits[id] - maximum) / sequence.temperature }
    weights = compute.exp(scaled)
    var limit = logits.count
    if sequence.topK > 0, sequence.topK < logits.count {
      limit = sequence.topK
      keepFirst(limit, of: logits)
    }
    var total = 0.0
    for id in weights.indices {
      if weights[id] < sequence.minP { weights[id] = 0 }
      total += Double(weights[id])
    }
    if sequence.topP < 1 {
      total = massOfNucleus(logits, share: Double(sequence.topP) * total, limit: limit)
    }
    let target = u * total
    var order = TokenOrder(logits)
    var sum = 0.0
    var last: Int32 = 0
    for _ in 0..<limit {
      guard let token = order.next(), weights[Int(token)] > 0 else { break }
      last = token
      sum += Double(weights[Int(token)])
      if sum > target || (sequence.topP < 1 && sum >= total) { break }
    }
    return last
  }

  /// Gives every token after the first `count` in sampling order the weight 0.
  private mutating func keepFirst(_ count: Int, of logits: UnsafeMutableBufferPointer<Float>) {
    let kept = Logits.top(count, of: logits)
    let values = kept.map { weights[$0] }
    for id in weights.indices { weights[id] = 0 }
    for (token, value) in zip(kept, values) { weights[token] = value }
  }

  /// The weight of the shortest run of tokens in sampling order that reaches `share`.
  private func massOfNucleus(
    _ logits: UnsafeMutableBufferPointer<Float>, share: Double, limit: Int
  ) -> Double {
    var order = TokenOrder(logits)
    var sum = 0.0
    for _ in 0..<limit {
      guard let token = order.next(), weights[Int(token)] > 0 else { break }
      sum += Double(weights[Int(token)])
      if sum >= share { break }
    }
    return sum
  }
}

/// The tokens of a row by falling logit, equal ones by rising id, found one at a time.
///
/// Few are ever asked for, so the likeliest are sorted out first by a threshold and only they are put into a heap; the
/// rest follow when those are used up.
struct TokenOrder {
  private let logits: UnsafeMutableBufferPointer<Float>
  private var heap: [Int32] = []
  /// Tokens at or above this logit have been put into the heap.
  private var threshold: Float = .infinity
  private let maximum: Float
  private var remaining: Int

  init(_ logits: UnsafeMutableBufferPointer<Float>) {
    self.logits = logits
    maximum = logits.max() ?? 0
    remaining = logits.count
  }

  /// The next token; nil after the last.
  mutating func next() -> Int32? {
    if heap.isEmpty, remaining > 0 { refill() }
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink(0)
    }
    return first
  }

  /// First what lies within 8 of the maximum, then everything.
  private mutating func refill() {
    let lower = threshold == .infinity ? maximum - 8 : -.infinity
    for id in logits.indices where logits[id] >= lower && logits[id] < threshold {
      heap.append(Int32(truncatingIfNeeded: id))
    }
    remaining -= heap.count
    threshold = lower
    for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { sink(index) }
  }

  private func precedes(_ a: Int32, _ b: Int32) -> Bool {
    let (left, right) = (logits[Int(a)], logits[Int(b)])
    return left != right ? left > right : a < b
  }

  private mutating func sink(_ start: Int) {
    var index = start
    while true {
      var best = 2 * index + 1
      guard best < heap.count else { return }
      if best + 1 < heap.count, precedes(heap[best + 1], heap[best]) { best += 1 }
      guard precedes(heap[best], heap[index]) else { return }
      heap.swapAt(best, index)
      index = best
    }
  }
}
