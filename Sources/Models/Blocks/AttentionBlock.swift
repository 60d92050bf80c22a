import Kernels

/// Softmax attention with grouped heads over the key/value cache.
struct AttentionBlock: Sendable {
  let description: ModelDescription.Attention
  private let ropeStyle: ModelDescription.Rope.Style?
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
    ropeStyle = description.rope.map { ropes[$0].style }
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

  /// update[rows, D] from x[rows, D], prepared first, which may read `update`; stores the rows'
  /// keys and values in layer `layer` of the caches.
  func run(
    _ x: Tensor, _ preparation: RowPreparation, layer: Int, into update: Tensor,
    _ context: StepContext
  ) throws {
    let queries = try context.tensor(.query, columns: query.weights.outputs)
    let keys = try context.tensor(.key, columns: key.weights.outputs)
    let values = try context.tensor(.value, columns: value.weights.outputs)
    try LinearBlock.run(
      x, prepared: preparation, [query, key, value], into: [queries, keys, values], context)
    let rows = AttentionRows(
      queries: queries, keys: keys, values: values, queryNorm: queryNorm, keyNorm: keyNorm,
      rope: rope(context))
    let mixed = try context.tensor(
      .mixed, columns: description.heads * description.valueDimension)
    try context.compute.attend(
      rows, layer: layer, shape: shape, sequences: context.sequences, into: mixed)
    try LinearBlock.run(mixed, [output], into: [update], context)
  }

  private func rope(_ context: StepContext) -> HeadRope? {
    guard let index = description.rope, let style = ropeStyle else { return nil }
    return HeadRope(table: context.ropes[index], isInterleaved: style == .interleaved)
  }
}
