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
    _ logits: UnsafeMutableBufferPointer<Float>, for sequence: GenerateInputs.Sequence,
    position: Int
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
    guard sequence.topP < 1 else {
      return runningSums(logits, limit: limit) { $0 > u * total }.last?.token ?? 0
    }
    let nucleus = runningSums(logits, limit: limit) { $0 >= Double(sequence.topP) * total }
    let target = u * (nucleus.last?.sum ?? 0)
    return (nucleus.first { $0.sum > target } ?? nucleus.last)?.token ?? 0
  }

  /// The tokens in sampling order with the sum of the weights so far, through the first whose sum
  /// is enough, or the last of weight above 0. Never empty: the likeliest token has weight 1.
  private func runningSums(
    _ logits: UnsafeMutableBufferPointer<Float>, limit: Int, isEnough: (Double) -> Bool
  ) -> [(token: Int32, sum: Double)] {
    var order = LogitOrder(logits)
    var result: [(token: Int32, sum: Double)] = []
    var sum = 0.0
    while result.count < limit, let id = order.next(), weights[id] > 0 {
      sum += Double(weights[id])
      result.append((Int32(id), sum))
      if isEnough(sum) { break }
    }
    return result
  }

  /// Gives every token after the first `count` in sampling order the weight 0.
  private mutating func keepFirst(_ count: Int, of logits: UnsafeMutableBufferPointer<Float>) {
    let kept = Logits.top(count, of: logits)
    let values = kept.map { weights[$0] }
    for id in weights.indices { weights[id] = 0 }
    for (token, value) in zip(kept, values) { weights[token] = value }
  }
}
