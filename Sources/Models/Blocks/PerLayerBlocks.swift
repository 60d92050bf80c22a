import Kernels

/// Makes the per-layer inputs of a step's tokens.
struct PerLayerEmbeddingBlock: Sendable {
  let description: ModelDescription.PerLayerEmbedding
  let table: PackedWeights
  let projection: LinearBlock
  let norm: RowNorm

  init(
    _ description: ModelDescription.PerLayerEmbedding, layers: Int, _ loader: WeightLoader
  ) throws {
    self.description = description
    table = try loader.matrix(description.matrix(layers: layers))
    projection = try LinearBlock(description.projection, loader)
    norm = try RowNorm(description.norm, loader)
  }

  var byteCount: Int { table.byteCount + projection.byteCount }

  /// inputs[rows, layers * P] from the tokens and their embeddings [rows, D].
  func run(
    _ tokens: [Int32], embedded: Tensor, into inputs: Tensor, _ context: StepContext
  ) throws {
    let compute = context.compute
    try LinearBlock.run(embedded, [projection], into: [inputs], context)
    compute.scale(inputs, by: Float(description.projectionScale))
    compute.rmsNormHeads(
      inputs, dimension: description.size, weight: norm.weight, epsilon: norm.epsilon)
    let looked = try context.tensor(.perLayerTable, columns: inputs.columns)
    try compute.embed(tokens, table: table, into: looked)
    compute.scale(looked, by: Float(description.multiplier))
    compute.add(looked, to: inputs)
    compute.scale(inputs, by: Float(description.scale))
  }
}

/// What a layer does with its input: norm(projection(activation(gate(x)) * input)).
struct PerLayerInputBlock: Sendable {
  let activation: GatedActivation
  let gate: LinearBlock
  let projection: LinearBlock
  let norm: RowNorm

  init(_ description: ModelDescription.PerLayerInput, _ loader: WeightLoader) throws {
    activation = GatedActivation(description.activation)
    gate = try LinearBlock(description.gate, loader)
    projection = try LinearBlock(description.projection, loader)
    norm = try RowNorm(description.norm, loader)
  }

  var byteCount: Int { gate.byteCount + projection.byteCount }

  /// update[rows, D] from x[rows, D] and the layer's part of the step's inputs.
  func run(_ x: Tensor, layer: Int, into update: Tensor, _ context: StepContext) throws {
    let (compute, size) = (context.compute, gate.weights.outputs)
    guard let all = context.perLayerInputs else {
      throw ForwardError.wrongActivations(reason: "there are no per-layer inputs")
    }
    let input = try context.tensor(.perLayerInput, columns: size)
    try input.resize(rows: x.rows)
    compute.copyHeads(
      all, from: HeadColumns(column: layer * size, stride: 0), to: input,
      at: HeadColumns(stride: 0), heads: 1, count: size)
    let gates = try context.tensor(.perLayerGate, columns: size)
    try LinearBlock.run(x, [gate], into: [gates], context)
    try LinearBlock.run(
      gates, prepared: .gate(activation, up: input), [projection], into: [update], context)
    try compute.rmsNorm(update, weight: norm.weight, epsilon: norm.epsilon, into: update)
  }
}
