import Kernels

/// Softmax attention with grouped heads over the key/value cache.
struct AttentionBlock: Sendable {
  let description: ModelDescription.Attention
  private let rope: ModelDescription.Rope.Style?
  private let shape: AttentionShape
  private let query: LinearBlock
  private let key: LinearBlock
  private let value: LinearBlock
  private let output: LinearBlock
  private let queryNorm: RowNorm?
  private let keyNorm: RowNorm?

  init(
    _ description: ModelDescription.Attention, ropes: [ModelDescription.Rope],
    _ loader: WeightLoader
  ) throws {
    self.description = description
    rope = description.rope.map { ropes[$0].style }
    shape = AttentionShape(
      heads: description.heads, scale: Float(description.scale), window: description.window)
    query = try LinearBlock(description.query, loader)
    key = try LinearBlock(description.key, loader)
    value = try LinearBlock(description.value, loader)
    output = try LinearBlock(description.output, loader)
    queryNorm = try description.queryNorm.map { try RowNorm($0, loader) }
    keyNorm = try description.keyNorm.map { try RowNorm($0, loader) }
  }

  var byteCount: Int {
    query.byteCount + key.byteCount + value.byteCount + output.byteCount
  }

  /// update[rows, D] from x[rows, D], normalised first; stores the rows' keys and values in layer
  /// `layer` of the caches.
  func run(
    _ x: Tensor, norm: RowNorm, layer: Int, into update: Tensor, _ context: StepContext
  ) throws {
    let compute = context.compute
    let queries = try context.tensor(.query, columns: query.weights.outputs)
    let keys = try context.tensor(.key, columns: key.weights.outputs)
    let values = try context.tensor(.value, columns: value.weights.outputs)
    try LinearBlock.run(
      x, norm: norm, [query, key, value], into: [queries, keys, values], context)
    normalise(queries, queryNorm, context)
    normalise(keys, keyNorm, context)
    if let index = description.rope, let style = rope {
      for heads in [queries, keys] {
        compute.rope(
          heads, dimension: description.keyDimension, positions: context.positions,
          table: context.ropes[index], interleaved: style == .interleaved)
      }
    }
    compute.store(keys: keys, values: values, layer: layer, sequences: context.sequences)
    let mixed = try context.tensor(
      .mixed, columns: description.heads * description.valueDimension)
    try compute.attention(
      queries: queries, layer: layer, shape: shape, sequences: context.sequences, into: mixed)
    try LinearBlock.run(mixed, [output], into: [update], context)
  }

  private func normalise(_ heads: Tensor, _ norm: RowNorm?, _ context: StepContext) {
    guard let norm else { return }
    context.compute.rmsNormHeads(
      heads, dimension: description.keyDimension, weight: norm.weight, epsilon: norm.epsilon)
  }
}
