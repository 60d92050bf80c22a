import Kernels

/// Latent attention in its absorbed form: one key/value head, whose key is the rotated key and the
/// latent row, and whose value is the latent row.
struct LatentAttentionBlock: Sendable {
  private let description: ModelDescription.LatentAttention
  private let isInterleaved: Bool
  private let shape: AttentionShape
  private let queryDown: LinearBlock?
  private let queryDownNorm: RowNorm?
  private let query: LinearBlock
  private let queryRope: LinearBlock
  private let latent: LinearBlock
  private let latentNorm: RowNorm
  private let keyRope: LinearBlock
  private let absorbedKey: MatrixStackBlock
  private let absorbedValue: MatrixStackBlock
  private let output: LinearBlock

  init(
    _ description: ModelDescription.LatentAttention, ropes: [ModelDescription.Rope],
    _ loader: WeightLoader
  ) throws {
    self.description = description
    isInterleaved = ropes[description.rope].style == .interleaved
    shape = AttentionShape(heads: description.heads, scale: Float(description.scale))
    queryDown = try description.queryDown.map { try LinearBlock($0, loader) }
    queryDownNorm = try description.queryDownNorm.map { try RowNorm($0, loader) }
    query = try LinearBlock(description.query, loader)
    queryRope = try LinearBlock(description.queryRope, loader)
    latent = try LinearBlock(description.latent, loader)
    latentNorm = try RowNorm(description.latentNorm, loader)
    keyRope = try LinearBlock(description.keyRope, loader)
    absorbedKey = try MatrixStackBlock(description.absorbedKey, loader)
    absorbedValue = try MatrixStackBlock(description.absorbedValue, loader)
    output = try LinearBlock(description.output, loader)
  }

  var byteCount: Int {
    let linears = [queryDown, query, queryRope, latent, keyRope, output]
    return linears.reduce(0) { $0 + ($1?.byteCount ?? 0) } + absorbedKey.weights.byteCount
      + absorbedValue.weights.byteCount
  }

  /// As `AttentionBlock.run`.
  func run(
    _ x: Tensor, _ preparation: RowPreparation, cache: Int, into update: Tensor,
    _ context: StepContext
  ) throws {
    let compute = context.compute
    let (heads, cached) = (description.heads, description.cacheLayer)
    let queries = try context.tensor(.query, columns: heads * cached.keyDimension)
    let keys = try context.tensor(.key, columns: cached.keyDimension)
    let values = try context.tensor(.value, columns: cached.valueDimension)
    try project(x, preparation, queries, keys, values, context)
    let mixed = try context.tensor(.mixed, columns: heads * cached.valueDimension)
    let rows = AttentionRows(
      queries: queries, keys: keys, values: values,
      rope: HeadRope(table: context.ropes[description.rope], isInterleaved: isInterleaved))
    try compute.attend(
      rows, layer: cache, shape: shape, sequences: context.sequences, into: mixed)

    let padded = absorbedValue.paddedOutputs
    let out = try context.tensor(.headOutput, columns: heads * padded)
    try compute.matmul(
      mixed,
      (0..<heads).map { head in
        MatmulPart(
          absorbedValue.weights, panels: absorbedValue.panels(head),
          inputColumn: head * cached.valueDimension, into: out, outputColumn: head * padded)
      })
    guard padded > description.valueDimension else {
      return try LinearBlock.run(out, [output], into: [update], context)
    }
    let compact = try context.tensor(.compact, columns: heads * description.valueDimension)
    try compact.resize(rows: out.rows)
    compute.copyHeads(
      out, from: HeadColumns(stride: padded), to: compact,
      at: HeadColumns(stride: description.valueDimension), heads: heads,
      count: description.valueDimension)
    try LinearBlock.run(compact, [output], into: [update], context)
  }

  /// Queries and keys: the part to be rotated, then the latent one, each filled up with zeros to
  /// whole panels; and values, the latent rows.
  private func project(
    _ x: Tensor, _ preparation: RowPreparation, _ queries: Tensor, _ keys: Tensor,
    _ values: Tensor, _ context: StepContext
  ) throws {
    let compute = context.compute
    let (heads, rotated) = (description.heads, description.ropeDimension)
    let start = description.latentColumn
    let plain = try context.tensor(.plainQuery, columns: query.weights.outputs)
    let turned = try context.tensor(.ropeQuery, columns: queryRope.weights.outputs)
    let raw = try context.tensor(.latent, columns: latent.weights.outputs)
    let keyTurned = try context.tensor(.ropeKey, columns: rotated)
    if let queryDown, let queryDownNorm {
      let down = try context.tensor(.queryDown, columns: queryDown.weights.outputs)
      try LinearBlock.run(
        x, prepared: preparation, [queryDown, latent, keyRope], into: [down, raw, keyTurned],
        context)
      try LinearBlock.run(
        down, prepared: .norm(queryDownNorm), [query, queryRope], into: [plain, turned], context)
    } else {
      try LinearBlock.run(
        x, prepared: preparation, [query, queryRope, latent, keyRope],
        into: [plain, turned, raw, keyTurned], context)
    }
    try compute.prepare(raw, .norm(latentNorm), into: values)
    try keys.resize(rows: x.rows)
    compute.copyHeads(
      keyTurned, from: HeadColumns(stride: 0), to: keys, at: HeadColumns(stride: 0), heads: 1,
      count: rotated, padded: start)
    compute.copyHeads(
      values, from: HeadColumns(stride: 0), to: keys, at: HeadColumns(column: start, stride: 0),
      heads: 1, count: description.latentDimension, padded: absorbedKey.paddedOutputs)
    let width = description.cacheLayer.keyDimension
    try compute.matmul(
      plain,
      (0..<heads).map { head in
        MatmulPart(
          absorbedKey.weights, panels: absorbedKey.panels(head),
          inputColumn: head * description.plainDimension, into: queries,
          outputColumn: head * width + start)
      })
    compute.copyHeads(
      turned, from: HeadColumns(stride: rotated), to: queries, at: HeadColumns(stride: width),
      heads: heads, count: rotated, padded: start)
  }
}

extension ModelDescription.LatentAttention {
  /// Where the latent part of a query or key begins.
  var latentColumn: Int { (ropeDimension + 15) / 16 * 16 }

  /// What the cache holds of a position.
  var cacheLayer: CacheLayer {
    CacheLayer(
      heads: 1, keyDimension: latentColumn + absorbedKey.paddedOutputs,
      valueDimension: latentDimension)
  }
}
