import Execution
import Foundation
import Kernels
import Models
import TestSupport
import Testing
import WirePayloads
import WireProtocol

/// A unit on a committed checkpoint: what two workers must agree on.
@Suite struct RealModelTests {
  static let fixture = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("Fixtures/gguf/llama3.1.gguf").path

  static let inputs = GenerateInputs(
    sequences: (0..<9).map { index in
      .init(
        promptTokens: (0..<(3 + index * 11)).map { Int32(($0 * 13 + index * 5) % 256) + 3 },
        maxTokens: 5 + index, temperature: index % 2 == 0 ? 0 : 0.9, topP: 0.95,
        topK: index == 3 ? 20 : 0, seed: Int64(index), topLogprobs: index % 3 == 0 ? 2 : nil)
    })

  func digest(
    _ model: Model, _ cache: CacheType, _ variant: KernelVariant, threads: Int,
    limits: BatchLimits
  ) throws -> Digest {
    let placeholder = BlobDigest.sha256(Data())
    let specification = UnitSpecification(
      kind: .generate, model: placeholder, inputs: placeholder, cache: cache)
    let compute = try Compute(kernels: KernelSet(variant), threads: threads)
    let result = try UnitExecutor.run(
      specification, inputs: Self.inputs, vocabulary: nil,
      model: ExecutorModel(model, compute: compute), compute: compute, limits: limits)
    return BlobDigest.sha256(try result.encoded())
  }

  @Test(arguments: [CacheType.f16, .f32])
  func everyMachineGivesTheSameDigest(_ cache: CacheType) throws {
    let model = try Model(path: Self.fixture)
    var digests: [Digest: [String]] = [:]
    for variant in KernelSet.available {
      for (threads, limits) in [
        (1, BatchLimits(activeSequences: 1, rows: 7)), (2, BatchLimits()),
        (5, BatchLimits(activeSequences: 4, rows: 64)),
      ] {
        let digest = try digest(model, cache, variant, threads: threads, limits: limits)
        digests[digest, default: []].append("\(variant.rawValue)/\(threads)")
      }
    }
    #expect(digests.count == 1, "\(digests)")
  }

  /// Blocks of the cache that prompts share, whole ones and begun ones, hold what each would have
  /// computed itself.
  @Test(arguments: [CacheType.f16, .f32])
  func sharedPrefixesGiveTheSameResults(_ cache: CacheType) throws {
    let model = try Model(path: Self.fixture)
    let placeholder = BlobDigest.sha256(Data())
    let specification = UnitSpecification(
      kind: .generate, model: placeholder, inputs: placeholder, cache: cache)
    let compute = try testCompute()
    func run(
      _ sequences: [GenerateInputs.Sequence], _ limits: BatchLimits = BatchLimits()
    ) throws -> [GenerateResult.Sequence] {
      try UnitExecutor.run(
        specification, inputs: GenerateInputs(sequences: sequences), vocabulary: nil,
        model: ExecutorModel(model, compute: compute), compute: compute, limits: limits
      ).sequences
    }
    for seed in testSeeds(2) {
      let sequences = RandomPrompts.make(seed: seed, vocabulary: 256)
      let alone = try sequences.flatMap { try run([$0]) }
      for limits in [
        BatchLimits(), BatchLimits(activeSequences: 3, rows: 50),
        BatchLimits(activeSequences: 1, rows: 500),
      ] {
        #expect(try run(sequences, limits) == alone, "seed \(seed), \(limits)")
      }
    }
  }
}
