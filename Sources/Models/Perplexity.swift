import Foundation
import Kernels

/// How well a model foresees a text, measured as llama.cpp's `llama-perplexity` does.
///
/// The text's tokens are cut into windows of `context`; what is left at the end is not used. Each
/// window begins anew at position 0, its first token replaced by the one that begins a text where
/// the tokenizer adds such a one. The tokens of its second half but the first are scored, each
/// given all tokens before it in the window: `context - context / 2 - 1` of them. The perplexity is
/// exp of the mean of their negative log-probabilities.
package struct Perplexity: Sendable {
  /// Windows that were scored.
  package private(set) var windows = 0
  /// Tokens that were scored.
  package private(set) var tokens = 0
  /// The sum of the negative natural log-probabilities, added in order in float64.
  package private(set) var negativeLogSum = 0.0
  /// The sum of their squares.
  private var squares = 0.0

  /// Of the scored tokens; 1 where there is none.
  package var value: Double { tokens == 0 ? 1 : Foundation.exp(mean) }

  /// The standard error of `value` if the tokens' scores were independent.
  package var standardError: Double {
    guard tokens > 1 else { return 0 }
    let variance = max(0, squares / Double(tokens) - mean * mean)
    return (variance / Double(tokens - 1)).squareRoot() * value
  }

  private var mean: Double { negativeLogSum / Double(tokens) }

  /// - Parameters:
  ///   - tokens: those of the text; what lies beyond the last whole window is not used.
  ///   - beginning: the token that begins every window, if any.
  ///   - context: tokens of a window, 4 or more, at most what the model allows.
  ///   - progress: called after each window with what is known so far.
  /// - Throws: `ForwardError`; `PerplexityError`; `KernelError.outOfResources`.
  package init(
    of tokens: [Int32], beginning: Int32?, context: Int, cache: CacheElement, executor: Executor,
    progress: (Perplexity) -> Void = { _ in }
  ) throws {
    precondition(context >= 4)
    for start in stride(from: 0, through: tokens.count - context, by: context) {
      var window = Array(tokens[start..<start + context])
      if let beginning { window[0] = beginning }
      try score(window, cache, executor)
      windows += 1
      progress(self)
    }
  }

  /// Rows whose logits are computed together: they are the largest part of the memory.
  private static let chunk = 256

  /// Rows whose logits are in memory at one time.
  package static func logitRows(context: Int) -> Int { min(chunk, context - context / 2) }

  private mutating func score(
    _ window: [Int32], _ cache: CacheElement, _ executor: Executor
  ) throws {
    let sequence = executor.model.makeSequence(cache: cache)
    let first = window.count / 2
    var start = 0
    while start < window.count - 1 {
      // The last token is only foreseen, never seen.
      let limit = start < first ? first : window.count - 1
      let end = min(start + Self.chunk, limit)
      let output = try executor.forward([
        SequenceChunk(
          sequence, tokens: Array(window[start..<end]), wanted: start < first ? .none : .all)
      ])
      if let position = output.chunks[0].firstNonFinitePosition {
        throw PerplexityError.nonFinite(window: windows, position: position)
      }
      for (position, row) in zip(start..<end, output.chunks[0].rows) {
        add(executor, output.logits[row], next: window[position + 1])
      }
      start = end
    }
  }

  private mutating func add(
    _ executor: Executor, _ logits: UnsafeMutableBufferPointer<Float>, next token: Int32
  ) {
    let score = -Double(
      executor.compute.logSoftmax(logits).logProbability(of: logits[Int(token)]))
    tokens += 1
    negativeLogSum += score
    squares += score * score
  }
}

/// Why a text has no perplexity.
package enum PerplexityError: Error, Hashable, CustomStringConvertible {
  /// A value of the model became infinite or NaN.
  case nonFinite(window: Int, position: Int)

  package var description: String {
    switch self {
    case .nonFinite(let window, let position):
      "the model's values became infinite or undefined at token \(position) of window \(window)"
    }
  }
}
