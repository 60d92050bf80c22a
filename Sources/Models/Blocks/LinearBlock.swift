import Kernels

/// y = W x + b.
struct LinearBlock: Sendable {
  let weights: PackedWeights
  let bias: [Float]?

  /// - Parameter shared: the matrix if it is loaded already, as with tied embeddings.
  init(
    _ description: ModelDescription.Linear, _ loader: WeightLoader, shared: PackedWeights? = nil
  ) throws {
    weights =
      try shared
      ?? loader.matrix(
        TensorRequirement(
          name: description.weight, shape: [description.outputs, description.inputs]))
    bias = try description.bias.map {
      try loader.vector(TensorRequirement(name: $0, shape: [description.outputs]))
    }
  }

  var byteCount: Int { weights.byteCount }

  /// x [rows, inputs], prepared first, through several matrices at once, which quantises the
  /// activations once.
  static func run(
    _ x: Tensor, prepared preparation: RowPreparation = .none, _ blocks: [LinearBlock],
    into outputs: [Tensor], _ context: StepContext
  ) throws {
    try context.compute.matmul(x, prepared: preparation, blocks.map(\.weights), into: outputs)
    for (block, output) in zip(blocks, outputs) {
      if let bias = block.bias { context.compute.add(bias: bias, to: output) }
    }
  }
}

extension RowNorm {
  init(_ description: ModelDescription.Norm, _ loader: WeightLoader) throws {
    self.init(
      weight: try loader.vector(description.requirement), epsilon: Float(description.epsilon))
  }
}
