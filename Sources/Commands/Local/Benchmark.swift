import Kernels
import Models

/// Runs of known length through a model, timed.
struct Benchmark {
  let executor: Executor
  let cache: CacheElement

  private var vocabulary: Int { executor.model.description.vocabularySize }

  /// Tokens that differ, so that nothing is cached by accident; what they say does not change the
  /// work.
  private func tokens(_ count: Int, salt: Int) -> [Int32] {
    (0..<count).map { Int32(($0 * 7919 + salt * 104729 + 17) % vocabulary) }
  }

  /// Tokens a second of one prompt.
  func prefill(tokens count: Int, chunk: Int = 512) throws -> Double {
    let sequence = executor.model.makeSequence(cache: cache)
    let prompt = tokens(count, salt: 1)
    return try rate(count) {
      try run(prompt, through: sequence, chunk: chunk)
    }
  }

  /// Tokens a second of all sequences together.
  ///
  /// - Parameter context: tokens in each cache before the clock starts.
  func decode(sequences count: Int, context: Int, tokens steps: Int) throws -> Double {
    let sequences = try (0..<count).map { index in
      let sequence = executor.model.makeSequence(cache: cache)
      try run(tokens(context, salt: index), through: sequence, chunk: 512)
      return sequence
    }
    return try rate(count * steps) {
      for step in 0..<steps {
        _ = try executor.forward(
          sequences.enumerated().map { index, sequence in
            SequenceChunk(
              sequence, tokens: tokens(1, salt: step * count + index), wanted: .last)
          })
      }
    }
  }

  private func run(_ prompt: [Int32], through sequence: SequenceState, chunk: Int) throws {
    for start in stride(from: 0, to: prompt.count, by: chunk) {
      let end = min(prompt.count, start + chunk)
      _ = try executor.forward([
        SequenceChunk(
          sequence, tokens: Array(prompt[start..<end]), wanted: end == prompt.count ? .last : .none)
      ])
    }
  }

  private func rate(_ count: Int, _ body: () throws -> Void) rethrows -> Double {
    let seconds = try ContinuousClock().measure(body).inSeconds
    return Double(count) / max(seconds, 1e-9)
  }
}
