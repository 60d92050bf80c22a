import Foundation
import Kernels
import ModelFormats
import Models
import Testing

/// Descriptions from outside that no checkpoint could have, and steps that no model could take, are
/// refused before anything is computed.
@Suite struct HostileDescriptionTests {
  struct Change: Sendable, CustomTestStringConvertible {
    let model: String
    let testDescription: String
    let apply: @Sendable (inout ModelDescription) -> Void

    init(
      _ model: String, _ what: String, _ apply: @escaping @Sendable (inout ModelDescription) -> Void
    ) {
      (self.model, testDescription, self.apply) = (model, "\(model): \(what)", apply)
    }
  }

  static func experts(
    _ what: String, _ change: @escaping @Sendable (inout ModelDescription.Experts) -> Void
  ) -> Change {
    Change("deepseek_v3", what) { model in
      guard case .experts(var experts) = model.layers[1].feedForward else { return }
      change(&experts)
      model.layers[1].feedForward = .experts(experts)
    }
  }

  static func latent(
    _ what: String, _ change: @escaping @Sendable (inout ModelDescription.LatentAttention) -> Void
  ) -> Change {
    Change("deepseek_v3", what) { model in
      guard case .latent(var latent) = model.layers[0].mixer else { return }
      change(&latent)
      model.layers[0].mixer = .latent(latent)
    }
  }

  static func linear(
    _ what: String, _ change: @escaping @Sendable (inout ModelDescription.LinearAttention) -> Void
  ) -> Change {
    Change("qwen3_5", what) { model in
      guard case .linear(var linear) = model.layers[0].mixer else { return }
      change(&linear)
      model.layers[0].mixer = .linear(linear)
    }
  }

  static func attention(
    _ model: String, _ layer: Int, _ what: String,
    _ change: @escaping @Sendable (inout ModelDescription.Attention) -> Void
  ) -> Change {
    Change(model, what) { model in
      guard case .attention(var attention) = model.layers[layer].mixer else { return }
      change(&attention)
      model.layers[layer].mixer = .attention(attention)
    }
  }

  static let changes: [Change] = [
    experts("no experts") { $0.count = 0 },
    experts("more chosen than there are") { $0.chosen = 9 },
    experts("experts that no machine holds") { $0.count = 1 << 40 },
    experts("groups that do not divide") { $0.routing.groups?.count = 3 },
    experts("no groups") { $0.routing.groups?.count = 0 },
    experts("too few experts in the chosen groups") {
      $0.routing.groups?.chosen = 1
      $0.chosen = 5
    },
    experts("groups of one") { $0.routing.groups?.count = 8 },
    experts("an infinite scale") { $0.routing.scale = .infinity },
    experts("matrices of another size") { $0.up.outputs += 1 },
    experts("rows beyond the tensor") {
      $0.gate.storage = .stacked(
        weight: "x", scales: nil, shape: [8, 32, 64], start: 1, period: 32)
    },
    experts("a shape that overflows") {
      $0.gate.storage = .stacked(
        weight: "x", scales: nil, shape: [.max, .max, 64], start: 0, period: 32)
    },
    experts("a gate without a shared expert") {
      $0.shared = nil
      $0.sharedGate = .init(weight: "x", inputs: 64, outputs: 1)
    },
    latent("rows that overlap the end") {
      $0.query.rows = .init(of: 96, [.init(start: 33, count: 16, period: 24, repeats: 4)])
    },
    latent("rows before the beginning") {
      $0.query.rows = .init(of: 96, [.init(start: -24, count: 16, period: 24, repeats: 4)])
    },
    latent("rows that overflow") {
      $0.query.rows = .init(of: .max, [.init(start: 0, count: 16, period: .max, repeats: 4)])
    },
    latent("rows without end") {
      $0.query.rows = .init(of: 1 << 40, [.init(start: 0, count: 1, period: 1, repeats: 1 << 40)])
    },
    latent("heads that no machine holds") { $0.heads = 1 << 30 },
    latent("a projection without its norm") { $0.queryDownNorm = nil },
    latent("a rotation that is not there") { $0.rope = 7 },
    latent("a rotation wider than its part") { $0.ropeDimension = 4 },
    linear("no key heads") { $0.keyHeads = 0 },
    linear("value heads that do not divide") { $0.valueHeads = 5 },
    linear("no convolution") { $0.taps = 0 },
    linear("a convolution of another shape") { $0.convolution.shape = [128, 4, 1] },
    linear("an odd norm") { $0.norm.size = 17 },
    attention("gemma4", 0, "the keys of a later layer") {
      ($0.sharedLayer, $0.key, $0.value) = (5, nil, nil)
    },
    attention("gemma4", 5, "the keys of a layer of another size") {
      ($0.sharedLayer, $0.key, $0.value) = (0, nil, nil)
    },
    attention("gemma4", 5, "keys of its own besides") { $0.sharedLayer = 4 },
    attention("gemma4", 0, "no keys") { $0.key = nil },
    attention("gemma4", 0, "a norm of the wrong size") { $0.valueNorm?.size = 3 },
    attention("gemma2", 0, "a negative cap") { $0.cap = -1 },
    attention("gemma2", 0, "a cap that is no number") { $0.cap = .nan },
    attention("mimo_v2_flash", 1, "values that are keys of another size") { $0.value = nil },
    attention("mimo_v2_flash", 1, "a growth that is no number") {
      $0.queryGrowth = .init(beta: .nan, length: 1)
    },
    attention("mimo_v2_flash", 1, "a growth of no length") {
      $0.queryGrowth = .init(beta: 1, length: 0)
    },
    Change("gemma4", "no inputs for the layers") { $0.embedding.perLayer = nil },
    Change("gemma4", "inputs of another size") { $0.embedding.perLayer?.size = 13 },
    Change("gemma4", "no rows of inputs") { $0.embedding.perLayer?.rows = 0 },
    Change("gemma4", "a multiplier that is no number") { $0.embedding.multiplier = .nan },
    Change("gemma2", "a logit cap of zero") { $0.logitCap = 0 },
    Change("gemma2", "a norm's offset that is no number") { $0.finalNorm.offset = .infinity },
    Change("llama2", "more rotated pairs than there are") {
      $0.ropes[0].scaling = .proportional(rotated: 9, factor: 1)
    },
    Change("llama2", "a scaling by nothing") {
      $0.ropes[0].scaling = .yarn(
        factor: 0, fast: 32, slow: 1, originalContextLength: 64, isTruncated: true)
    },
  ]

  static func description(_ model: String) throws -> ModelFiles {
    try ModelFiles(path: GoldenFolder.own.appendingPathComponent("models/\(model)").path)
  }

  @Test(arguments: changes)
  func isRefused(_ change: Change) throws {
    var description = try Self.description(change.model).description
    try description.validate(file: "test")
    change.apply(&description)
    #expect(throws: FormatError.self) { try description.validate(file: "test") }
  }

  @Test func partsTakeOnlyWhatFits() throws {
    let files = try Self.description("gemma4")
    func part(_ hasEmbedding: Bool, _ layers: Range<Int>, _ hasHead: Bool) throws -> Model {
      try Model(
        ModelPart(hasEmbedding: hasEmbedding, layers: layers, hasHead: hasHead),
        of: files.description, from: files.source)
    }
    #expect(throws: FormatError.self) { try part(true, 0..<7, true) }
    let first = Executor(try part(true, 0..<2, false), compute: try makeCompute())
    let second = Executor(try part(false, 2..<6, true), compute: try makeCompute())
    func chunk(_ executor: Executor, _ tokens: [Int32] = [3, 4, 5]) -> [SequenceChunk] {
      [SequenceChunk(executor.model.makeSequence(cache: .f32), tokens: tokens, wanted: .last)]
    }
    let output = try first.forward(chunk(first))
    let passed = try #require(output.activations)
    #expect(output.logits.rows == 0 && passed.hidden.rows == 3)
    func refused(_ input: Executor.Activations?, _ tokens: [Int32] = [3, 4, 5]) throws {
      let error = try #require(throws: ForwardError.self) {
        try second.forward(chunk(second, tokens), from: input)
      }
      guard case .wrongActivations(let reason) = error else {
        throw error
      }
      #expect(!reason.isEmpty)
    }
    try refused(nil)
    try refused(passed, [3, 4])
    try refused(.init(hidden: try Tensor(rows: 3, columns: 63)))
    try refused(.init(hidden: passed.hidden))
    #expect(throws: ForwardError.self) { try first.forward(chunk(first), from: passed) }
    #expect(throws: ForwardError.self) { try second.forward(chunk(second, [999]), from: passed) }
    let whole = Executor(
      try Model(files.description, from: files.source), compute: try makeCompute())
    let expected = try whole.forward(chunk(whole)).logits.values
    #expect(try second.forward(chunk(second), from: passed).logits.values == expected)
  }
}
