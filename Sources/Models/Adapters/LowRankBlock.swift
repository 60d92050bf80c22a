import Kernels
import ModelFormats

/// s (B (A x)), beside a matrix.
struct LowRankBlock: Sendable {
  private let down: PackedWeights
  private let up: PackedWeights
  private let scale: Float

  init(_ pair: Adapter.Pair, scale: Float) throws {
    func pack(_ values: [Float], outputs: Int, inputs: Int) throws -> PackedWeights {
      try values.withUnsafeBytes {
        try PackedWeights(type: .f32, outputs: outputs, inputs: inputs, rows: $0)
      }
    }
    down = try pack(pair.a, outputs: pair.rank, inputs: pair.inputs)
    up = try pack(pair.b, outputs: pair.outputs, inputs: pair.rank)
    self.scale = scale
  }

  var byteCount: Int { down.byteCount + up.byteCount }

  /// output[rows, outputs] += s (B (A x)).
  func add(_ x: Tensor, to output: Tensor, _ context: StepContext) throws {
    let low = try context.tensor(.lowRank, columns: down.outputs)
    try context.compute.matmul(x, down, into: low)
    let delta = try context.tensor(.lowRankDelta, columns: output.columns)
    try context.compute.matmul(low, up, into: delta)
    context.compute.add(delta, times: scale, to: output)
  }
}

extension Model {
  /// The model with an adapter beside its matrices, which both models share.
  ///
  /// - Parameter adapter: as transformers orders rows.
  /// - Throws: `FormatError` for an adapter of another model; `KernelError.outOfResources`.
  package func adapted(by adapter: Adapter) throws -> Model {
    try adapter.check(description)
    let ordered = adapter.ordered(for: description)
    return try Model(self) { index, block in
      var block = block
      for (site, pair) in ordered.pairs where site.layer == index {
        try block.adapt(site.kind, LowRankBlock(pair, scale: adapter.scale(rank: pair.rank)))
      }
      return block
    }
  }
}

extension LayerBlock {
  /// Puts an adapter beside one of the matrices, which the layer has.
  fileprivate mutating func adapt(_ kind: LinearKind, _ lowRank: LowRankBlock) throws {
    switch kind {
    case .query, .key, .value, .output:
      guard case .attention(var attention, let cache) = mixer else { return }
      switch kind {
      case .query: attention.query.lowRank = lowRank
      case .key: attention.key?.lowRank = lowRank
      case .value: attention.value?.lowRank = lowRank
      default: attention.output.lowRank = lowRank
      }
      mixer = .attention(attention, cache: cache)
    case .gate, .up, .down:
      guard case .gated(var gated) = feedForward else { return }
      switch kind {
      case .gate: gated.gate.lowRank = lowRank
      case .up: gated.up.lowRank = lowRank
      default: gated.down.lowRank = lowRank
      }
      feedForward = .gated(gated)
    }
  }
}
