import Foundation
import Kernels
import ModelFormats
import Models
import Testing

/// Every model of the ground truth gives the same bits however it is cut, along its tokens and
/// along its layers, and on every variant of the kernels.
@Suite struct SameBitsOfFamiliesTests {
  struct Case {
    let files: ModelFiles
    let tokens: [Int32]

    init(_ golden: GoldenCase) throws {
      files = try ModelFiles(path: golden.model.path)
      let reference = try GoldenReference(golden.reference)
      // Longer than a block of 64 keys, so that blocks are merged.
      tokens = Array((reference.inputs.flatMap { $0 } + reference.inputs[0]).prefix(70))
    }

    func model() throws -> Model { try Model(files.description, from: files.source) }

    func parts(_ cuts: [Int]) throws -> [Model] {
      let count = files.description.layers.count
      let bounds = [0] + cuts + [count]
      return try (0..<bounds.count - 1).map { index in
        try Model(
          ModelPart(
            hasEmbedding: index == 0, layers: bounds[index]..<bounds[index + 1],
            hasHead: index == bounds.count - 2), of: files.description, from: files.source)
      }
    }
  }

  static func bits(_ output: Executor.Output) -> [UInt32] {
    (0..<output.logits.rows).flatMap { output.logits[$0].map(\.bitPattern) }
  }

  static func bits(
    _ executor: Executor, _ tokens: [Int32], _ cache: CacheElement, chunk: Int
  ) throws -> [UInt32] {
    try executor.logits(of: tokens, cache: cache, chunk: chunk).map(\.bitPattern)
  }

  @Test(arguments: GoldenCase.supported, CacheElement.allCases)
  func decodingEqualsPrefill(_ golden: GoldenCase, _ cache: CacheElement) throws {
    let one = try Case(golden)
    let executor = Executor(try one.model(), compute: try makeCompute())
    let whole = try Self.bits(executor, one.tokens, cache, chunk: one.tokens.count)
    for chunk in [1, 3, 64] {
      #expect(
        try Self.bits(executor, one.tokens, cache, chunk: chunk) == whole, "chunks of \(chunk)")
    }
  }

  @Test(arguments: GoldenCase.supported)
  func variantsAndThreadsAgree(_ golden: GoldenCase) throws {
    let one = try Case(golden)
    let model = try one.model()
    let expected = try Self.bits(
      Executor(model, compute: Compute(kernels: KernelSet(.scalar), threads: 1)), one.tokens,
      .f16, chunk: 33)
    for variant in KernelSet.available where variant != .scalarSoftware {
      for threads in [1, 3] {
        let executor = try Executor(
          model, compute: Compute(kernels: KernelSet(variant), threads: threads))
        #expect(
          try Self.bits(executor, one.tokens, .f16, chunk: 50) == expected,
          "\(variant), \(threads) threads")
      }
    }
  }

  /// Sequences that share steps, one of them forked from another, give what each gives alone.
  @Test(arguments: GoldenCase.supported)
  func sequencesDoNotDisturbEachOther(_ golden: GoldenCase) throws {
    let one = try Case(golden)
    let executor = Executor(try one.model(), compute: try makeCompute())
    let (prompt, left) = (Array(one.tokens[..<20]), Array(one.tokens[20..<30]))
    let right = Array(one.tokens[40..<47])
    func alone(_ tokens: [Int32], last: Int) throws -> [UInt32] {
      let all = try Self.bits(executor, tokens, .f32, chunk: 1000)
      return Array(all.suffix(last * one.files.description.vocabularySize))
    }
    let expected = try alone(prompt + left, last: left.count)
      + alone(right, last: right.count) + alone(prompt + right, last: right.count)
    let first = executor.model.makeSequence(cache: .f32)
    _ = try executor.forward([SequenceChunk(first, tokens: prompt, wanted: .none)])
    let fork = first.fork()
    let output = try executor.forward([
      SequenceChunk(first, tokens: left, wanted: .all),
      SequenceChunk(executor.model.makeSequence(cache: .f32), tokens: right, wanted: .all),
      SequenceChunk(fork, tokens: right, wanted: .all),
    ])
    #expect(Self.bits(output) == expected)
  }

  /// The model cut before every layer, into all pieces at once, and with embedding and head apart:
  /// two sequences, a prompt in two chunks and then token after token.
  @Test(arguments: GoldenCase.supported, CacheElement.allCases)
  func slicedEqualsWhole(_ golden: GoldenCase, _ cache: CacheElement) throws {
    let one = try Case(golden)
    let count = one.files.description.layers.count
    let steps: [[[Int32]]] = [
      [Array(one.tokens[..<40]), Array(one.tokens[50..<60])],
      [Array(one.tokens[40..<69]), [one.tokens[60]]], [[one.tokens[69]], [one.tokens[61]]],
    ]
    let whole = try run([one.model()], steps, cache)
    let cuts = (0...count).map { [$0] } + [Array(0...count), [0, count]]
    for cuts in cuts {
      #expect(try run(one.parts(cuts), steps, cache) == whole, "cut at \(cuts)")
    }
  }

  /// The logits of all steps, computed by the parts of a model one after the other.
  private func run(
    _ parts: [Model], _ steps: [[[Int32]]], _ cache: CacheElement
  ) throws -> [UInt32] {
    let executors = try parts.map { Executor($0, compute: try makeCompute()) }
    let sequences = parts.map { part in steps[0].map { _ in part.makeSequence(cache: cache) } }
    return try steps.flatMap { step in
      var output: Executor.Output?
      for (executor, sequences) in zip(executors, sequences) {
        let chunks = zip(sequences, step).map { SequenceChunk($0, tokens: $1, wanted: .all) }
        output = try executor.forward(chunks, from: output?.activations)
      }
      return Self.bits(try #require(output))
    }
  }
}
