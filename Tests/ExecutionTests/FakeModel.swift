import Execution
import Foundation
import Kernels
import WireProtocol

/// One thread of the variant that `TALLY_CPU` names, or of the fastest.
func testCompute() throws -> Compute {
  let kernels = try KernelSet.best(environment: ProcessInfo.processInfo.environment)
  return try Compute(kernels: kernels, threads: 1)
}

/// A model whose logits are a hash of everything a sequence has seen, so that any mix-up of
/// sequences, positions or caches changes the tokens.
final class FakeModel: LanguageModel {
  final class Cache {
    var history: UInt64 = 0
    var count = 0
  }

  let vocabularyCount = 50
  let contextLength: Int
  let endOfSequence: Set<Int32>
  /// The history after which a row is not finite.
  var poisoned: ((UInt64, Int) -> Bool) = { _, _ in false }
  /// The largest number of rows in one pass.
  private(set) var largestPass = 0

  init(contextLength: Int = 100, endOfSequence: Set<Int32> = [0]) {
    self.contextLength = contextLength
    self.endOfSequence = endOfSequence
  }

  func makeCache(_ type: CacheType) -> Cache { Cache() }

  func forward(
    _ chunks: [ForwardChunk<Cache>],
    logits body: (Int, UnsafeMutableBufferPointer<Float>?) throws -> Void
  ) throws {
    largestPass = max(largestPass, chunks.reduce(0) { $0 + $1.tokens.count })
    for (index, chunk) in chunks.enumerated() {
      for token in chunk.tokens {
        chunk.cache.history = mix(chunk.cache.history &+ UInt64(token) &+ 1)
        chunk.cache.count += 1
      }
      precondition(chunk.cache.count <= contextLength)
      guard chunk.wantsLogits else { continue }
      if poisoned(chunk.cache.history, chunk.cache.count) {
        try body(index, nil)
        continue
      }
      var row = (0..<vocabularyCount).map { id in
        Float(mix(chunk.cache.history &+ UInt64(id) &* 7919) % 1000) / 100
      }
      try row.withUnsafeMutableBufferPointer { try body(index, $0) }
    }
  }

  private func mix(_ value: UInt64) -> UInt64 {
    var z = value &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
