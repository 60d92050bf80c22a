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
    fileprivate(set) var history: UInt64 = 0
    fileprivate(set) var count = 0
    private let living: Counter

    fileprivate init(_ living: Counter) {
      self.living = living
      living.add()
    }

    deinit { living.count -= 1 }
  }

  /// How many caches live, and the most that did at one time.
  final class Counter {
    fileprivate(set) var count = 0
    private(set) var most = 0

    func add() {
      count += 1
      most = max(most, count)
    }
  }

  let vocabularyCount = 50
  let contextLength: Int
  let endOfSequence: Set<Int32>
  /// The history after which a row is not finite.
  var poisoned: ((UInt64, Int) -> Bool) = { _, _ in false }
  /// The largest number of rows in one pass.
  private(set) var largestPass = 0
  /// Rows of all passes.
  private(set) var rows = 0
  let caches = Counter()

  init(contextLength: Int = 100, endOfSequence: Set<Int32> = [0]) {
    self.contextLength = contextLength
    self.endOfSequence = endOfSequence
  }

  func makeCache(_ type: CacheType) -> Cache { Cache(caches) }

  func fork(_ cache: Cache) -> Cache {
    let copy = Cache(caches)
    (copy.history, copy.count) = (cache.history, cache.count)
    return copy
  }

  func forward(
    _ chunks: [ForwardChunk<Cache>],
    logits body: (Int, UnsafeMutableBufferPointer<Float>?) throws -> Void
  ) throws {
    let passRows = chunks.reduce(0) { $0 + $1.tokens.count }
    rows += passRows
    largestPass = max(largestPass, passRows)
    for (index, chunk) in chunks.enumerated() {
      var isFinite = true
      for token in chunk.tokens {
        chunk.cache.history = mix(chunk.cache.history &+ UInt64(token) &+ 1)
        chunk.cache.count += 1
        if poisoned(chunk.cache.history, chunk.cache.count) { isFinite = false }
      }
      precondition(chunk.cache.count <= contextLength)
      guard isFinite else {
        try body(index, nil)
        continue
      }
      guard chunk.wantsLogits else { continue }
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
