import Kernels

/// Softmax attention with grouped heads over the key/value cache.
struct AttentionBlock: Sendable {
  let description: ModelDescription.Attention
  private let ropeStyle: ModelDescription.Rope.Style?
  let shape: AttentionShape
  var query: LinearBlock
  var key: LinearBlock?
  var value: LinearBlock?
  let gate: LinearBlock?
  var output: LinearBlock
  let queryNorm: RowNorm?
  let keyNorm: RowNorm?
  let valueNorm: RowNorm?

  init(
    _ description: ModelDescription.Attention, ropes: [ModelDescription.Rope],
    _ loader: WeightLoader
  ) throws {
    self.description = description
    ropeStyle = description.rope.map { ropes[$0].style }
    let sinks = try description.sinks.map {
      try loader.vector(TensorRequirement(name: $0, shape: [description.heads]))
    }
    shape = AttentionShape(
      heads: description.heads, scale: Float(description.scale), window: description.window,
      cap: description.cap.map { Float($0) }, sinks: sinks ?? [])
    query = try LinearBlock(description.query, loader)
    key = try description.key.map { try LinearBlock($0, loader) }
    value = try description.value.map { try LinearBlock($0, loader) }
    gate = try description.gate.map { try LinearBlock($0, loader) }
    output = try LinearBlock(description.output, loader)
    queryNorm = try description.queryNorm.map { try RowNorm($0, loader) }
    keyNorm = try description.keyNorm.map { try RowNorm($0, loader) }
    valueNorm = try description.valueNorm.map { try RowNorm($0, loader) }
  }

  var byteCount: Int {
    [query, key, value, gate, output].reduce(0) { $0 + ($1?.byteCount ?? 0) }
  }

  /// update[rows, D] from x[rows, D], prepared first, which may read `update`; stores the rows'
  /// keys and values in layer `cache` of the caches, unless they are there already.
  func run(
    _ x: Tensor, _ preparation: RowPreparation, cache: Int, into update: Tensor,
    _ context: StepContext
  ) throws {
    let queries = try context.tensor(.query, columns: query.weights.outputs)
    let keys = try key.map { try context.tensor(.key, columns: $0.weights.outputs) }
    let values = try value.map { try context.tensor(.value, columns: $0.weights.outputs) }
    let gates = try gate.map { try context.tensor(.attentionGate, columns: $0.weights.outputs) }
    try LinearBlock.run(
      x, prepared: preparation, [query] + [key, value, gate].compactMap { $0 },
      into: [queries] + [keys, values, gates].compactMap { $0 }, context)
    let rows = AttentionRows(
      queries: queries, keys: keys, values: values ?? keys, queryNorm: queryNorm,
      keyNorm: keyNorm, valueNorm: valueNorm,
      valueScale: description.valueScale.map { Float($0) }, rope: rope(context),
      queryGrowth: description.queryGrowth.map { QueryGrowth(beta: $0.beta, length: $0.length) })
    let mixed = try context.tensor(
      .mixed, columns: description.heads * description.valueDimension)
    try context.compute.attend(
      rows, layer: cache, shape: shape, sequences: context.sequences, into: mixed)
    guard let gates else {
      return try LinearBlock.run(mixed, [output], into: [update], context)
    }
    try LinearBlock.run(
      gates, prepared: .gate(.sigmoid, up: mixed), [output], into: [update], context)
  }

  private func rope(_ context: StepContext) -> HeadRope? {
    guard let index = description.rope, let style = ropeStyle else { return nil }
    return HeadRope(table: context.ropes[index], isInterleaved: style == .interleaved)
  }
}
