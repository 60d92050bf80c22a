import Execution
import Foundation
import Kernels
import Models
import Testing
import WirePayloads
import WireProtocol

/// A model that is run by its parts, each with nothing but the result of the one before, gives what
/// the whole gives.
@Suite struct StageTests {
  static let models = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures/models")
  /// Plain attention; per-layer inputs and shared keys and values; states of linear attention;
  /// latent attention and experts.
  static let families = ["llama2", "gemma4", "qwen3_5", "deepseek_v3"]

  /// Short ones that share a pass, and one of several passes.
  static func sequences(_ vocabulary: Int) -> [[Int32]] {
    [3, 1, 70, 9, 2].enumerated().map { index, count in
      (0..<count).map { Int32(($0 * 13 + index * 5) % (vocabulary - 3)) + 3 }
    }
  }

  struct Files {
    let description: ModelDescription
    let source: any TensorSource

    /// Of Gemma 4, layer 4 reads the keys and values of layer 3, as in its larger siblings.
    init(_ family: String) throws {
      let files = try ModelFiles(path: StageTests.models.appending(path: family).path)
      var description = files.description
      if family == "gemma4", case .attention(var attention) = description.layers[4].mixer {
        (attention.sharedLayer, attention.key, attention.value) = (3, nil, nil)
        (attention.keyNorm, attention.valueNorm) = (nil, nil)
        description.layers[4].mixer = .attention(attention)
      }
      (self.description, source) = (description, files.source)
    }
  }

  static func compute(_ threads: Int = 1) throws -> Compute {
    try Compute(kernels: .best(environment: [:]), threads: threads)
  }

  /// The bytes of the last part's result; every part begins from bytes.
  static func run(
    _ files: Files, cuts: [Int], _ sequences: [[Int32]], _ cache: CacheType, rows: Int?,
    threads: Int = 1
  ) throws -> Data {
    let count = files.description.layers.count
    let bounds = [0] + cuts + [count]
    var bytes = try StageActivations(sequences: sequences).encoded()
    for index in 0..<bounds.count - 1 {
      let part = ModelPart(
        hasEmbedding: index == 0, layers: bounds[index]..<bounds[index + 1],
        hasHead: index == bounds.count - 2)
      let stage = StageExecutor(
        try Model(part, of: files.description, from: files.source),
        inputs: try StageActivations(decoding: bytes), cache: cache,
        compute: try compute(threads), rows: rows)
      switch try stage.run() {
      case .activations(let activations): bytes = try activations.encoded()
      case .scores(let scores): bytes = try scores.encoded()
      }
    }
    return bytes
  }

  @Test(arguments: families, [CacheType.f16, .f32])
  func partsGiveTheBytesOfTheWhole(_ family: String, _ cache: CacheType) throws {
    let files = try Files(family)
    let sequences = Self.sequences(files.description.vocabularySize)
    let count = files.description.layers.count
    let whole = try Self.run(files, cuts: [], sequences, cache, rows: nil)
    for cuts in [[0], [1], [count], Array(0...count)] {
      #expect(try Self.run(files, cuts: cuts, sequences, cache, rows: nil) == whole, "\(cuts)")
    }
    for rows in [1, 4, 64] {
      #expect(
        try Self.run(files, cuts: [1], sequences, cache, rows: rows, threads: 3) == whole,
        "passes of \(rows)")
    }
  }

  @Test func scoresAreThoseOfTheLogits() throws {
    let files = try Files("llama2")
    let sequences = Self.sequences(files.description.vocabularySize)
    let bytes = try Self.run(files, cuts: [1], sequences, .f32, rows: nil)
    let scores = try StageScores(decoding: bytes, for: StageActivations(sequences: sequences))
    let executor = Executor(
      try Model(files.description, from: files.source), compute: try Self.compute())
    for (tokens, score) in zip(sequences, scores.sequences) {
      let output = try executor.forward([
        SequenceChunk(executor.model.makeSequence(cache: .f32), tokens: tokens, wanted: .all)
      ])
      for position in tokens.indices {
        let row = output.logits[position].map { Double($0) }
        let normal = log(row.reduce(0) { $0 + exp($1) })
        let best = row.max() ?? 0
        #expect(score.likeliest[position] == row.firstIndex(of: best).map { Int32($0) })
        #expect(abs(Double(score.likeliestLogprobs[position]) - (best - normal)) < 1e-4)
        guard position + 1 < tokens.count else { continue }
        let next = row[Int(tokens[position + 1])] - normal
        #expect(abs(Double(score.logprobs[position]) - next) < 1e-4)
      }
      #expect(score.firstNonFinite == nil)
    }
  }

  /// An activation that is infinite spoils its own sequence from its position on, and no other.
  @Test func infinityStaysInItsSequence() throws {
    let files = try Files("llama2")
    let description = files.description
    let part = ModelPart(
      hasEmbedding: false, layers: 0..<description.layers.count, hasHead: true)
    let model = try Model(part, of: description, from: files.source)
    let width = description.hiddenSize
    let sequences: [[Int32]] = [[5, 6, 7, 8], [9, 10, 11]]
    var inputs = StageActivations(
      sequences: sequences,
      hidden: .init(columns: width, values: (0..<7 * width).map { Float($0 % 11) - 5 }))
    func run() throws -> StageScores {
      let stage = StageExecutor(model, inputs: inputs, cache: .f32, compute: try Self.compute())
      guard case .scores(let scores) = try stage.run() else { throw CancellationError() }
      return scores
    }
    let sound = try run()
    inputs.hidden?.values[2 * width + 1] = .infinity
    let spoilt = try run()
    #expect(spoilt.sequences[1] == sound.sequences[1])
    #expect(spoilt.sequences[0].firstNonFinite == 2)
    #expect(spoilt.sequences[0].logprobs == Array(sound.sequences[0].logprobs[..<2]) + [0])
    #expect(spoilt.sequences[0].likeliest == Array(sound.sequences[0].likeliest[..<2]) + [0, 0])
  }

  /// Which NaN goes in, or comes of which operation, does not show in what comes out.
  @Test func everyNaNIsTheSame() throws {
    let files = try Files("llama2")
    let part = ModelPart(hasEmbedding: false, layers: 0..<1, hasHead: false)
    let model = try Model(part, of: files.description, from: files.source)
    let width = files.description.hiddenSize
    var results: Set<Data> = []
    for bits: UInt32 in [0x7fc0_0000, 0xffc0_0000, 0x7fc0_1234] {
      for variant in KernelSet.available {
        var values = [Float](repeating: 0.5, count: 3 * width)
        values[width + 3] = Float(bitPattern: bits)
        values[2 * width] = -.infinity
        let inputs = StageActivations(
          sequences: [[5, 6, 7]], hidden: .init(columns: width, values: values))
        let stage = StageExecutor(
          model, inputs: inputs, cache: .f32,
          compute: try Compute(kernels: KernelSet(variant), threads: 1))
        guard case .activations(let result) = try stage.run() else { throw CancellationError() }
        #expect(result.hidden?.values.contains { $0.isNaN } == true)
        results.insert(try result.encoded())
      }
    }
    #expect(results.count == 1)
  }

  @Test func activationsThatDoNotFitAreRefused() throws {
    let files = try Files("gemma4")
    let count = files.description.layers.count
    let tokens = StageActivations(sequences: [[5, 6, 7]])
    func run(_ inputs: StageActivations, _ part: ModelPart) throws -> StageExecutor.Result {
      try StageExecutor(
        Model(part, of: files.description, from: files.source), inputs: inputs, cache: .f32,
        compute: Self.compute()
      ).run()
    }
    let first = ModelPart(hasEmbedding: true, layers: 0..<4, hasHead: false)
    let last = ModelPart(hasEmbedding: false, layers: 4..<count, hasHead: true)
    guard case .activations(let good) = try run(tokens, first) else { throw CancellationError() }
    #expect(good.perLayerInputs != nil && !good.shared.isEmpty)
    guard case .scores = try run(good, last) else { throw CancellationError() }
    #expect(throws: ForwardError.self) { try run(tokens, last) }
    #expect(throws: ForwardError.self) { try run(good, first) }
    for change: (inout StageActivations) -> Void in [
      { $0.perLayerInputs = nil }, { $0.shared = [:] },
      { $0.hidden = .init(columns: 1, values: [1, 2, 3]) },
      { $0.perLayerInputs = .init(columns: 1, values: [1, 2, 3]) },
      { $0.shared[1000] = $0.shared.values.first },
      {
        let narrow = StageActivations.Rows(columns: 1, values: [1, 2, 3])
        $0.shared = $0.shared.mapValues { .init(keys: $0.keys, values: narrow) }
      },
    ] {
      var bad = good
      change(&bad)
      #expect(throws: ForwardError.self) { try run(bad, last) }
    }
    // The last token is never looked up in a table of this part, and still names a logit.
    var outside = good
    outside.sequences = [[5, 6, 1 << 30]]
    #expect(throws: ExecutionError.self) { try run(outside, last) }
    outside.sequences = [[5, 6, -1]]
    #expect(throws: ExecutionError.self) { try run(outside, last) }
  }

  @Test func passesHoldWholeSequencesWhereTheyFit() {
    let passes = StageExecutor.passes([3, 2, 9, 1, 4], rows: 4)
    #expect(passes.map(\.rows) == [0..<3, 3..<5, 5..<9, 9..<13, 13..<14, 14..<15, 15..<19])
    #expect(passes[3].pieces.map(\.sequence) == [2] && passes[3].pieces[0].positions == 4..<8)
    let one = StageExecutor.passes([3, 2, 4], rows: 9)
    #expect(one.count == 1 && one[0].pieces.map(\.sequence) == [0, 1, 2])
  }
}
