import Kernels
import Models
import WireProtocol

/// A model of `Models` with its executor, as generation sees it.
package final class ExecutorModel: LanguageModel {
  private let executor: Executor

  /// - Parameter compute: the kernels and threads to run on; not shared with another executor at
  ///   the same time.
  package init(_ model: Model, compute: Compute) {
    executor = Executor(model, compute: compute)
  }

  package var vocabularyCount: Int { executor.model.description.vocabularySize }
  package var contextLength: Int { executor.model.description.contextLength }
  package var endOfSequence: Set<Int32> {
    Set(executor.model.description.endOfSequenceIds.map { Int32($0) })
  }

  /// An empty sequence.
  package func makeCache(_ type: CacheType) -> SequenceState {
    executor.model.makeSequence(cache: CacheElement(type))
  }

  /// Shares memory with the first until one of them grows.
  package func fork(_ cache: SequenceState) -> SequenceState { cache.fork() }

  /// One step of the executor.
  package func forward(
    _ chunks: [ForwardChunk<SequenceState>],
    logits body: (Int, UnsafeMutableBufferPointer<Float>?) throws -> Void
  ) throws {
    let output = try executor.forward(
      chunks.map {
        SequenceChunk($0.cache, tokens: Array($0.tokens), wanted: $0.wantsLogits ? .last : .none)
      })
    for (index, chunk) in output.chunks.enumerated() {
      if chunk.firstNonFinitePosition != nil {
        try body(index, nil)
      } else if let row = chunk.rows.first {
        try body(index, output.logits[row])
      }
    }
  }
}

extension CacheElement {
  package init(_ type: CacheType) {
    switch type {
    case .f16: self = .f16
    case .f32: self = .f32
    }
  }
}
