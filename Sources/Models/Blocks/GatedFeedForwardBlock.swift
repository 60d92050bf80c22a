import Kernels

/// down(activation(gate(x)) * up(x)).
struct GatedFeedForwardBlock: Sendable {
  let activation: GatedActivation
  var gate: LinearBlock
  var up: LinearBlock
  var down: LinearBlock

  init(_ description: ModelDescription.GatedFeedForward, _ loader: WeightLoader) throws {
    activation = GatedActivation(description.activation)
    gate = try LinearBlock(description.gate, loader)
    up = try LinearBlock(description.up, loader)
    down = try LinearBlock(description.down, loader)
  }

  var byteCount: Int { gate.byteCount + up.byteCount + down.byteCount }

  /// update[rows, D] from x[rows, D], prepared first, which may read `update`.
  func run(
    _ x: Tensor, _ preparation: RowPreparation, into update: Tensor, _ context: StepContext
  ) throws {
    let gates = try context.tensor(.gate, columns: gate.weights.outputs)
    let ups = try context.tensor(.up, columns: up.weights.outputs)
    try LinearBlock.run(x, prepared: preparation, [gate, up], into: [gates, ups], context)
    try LinearBlock.run(
      gates, prepared: .gate(activation, up: ups), [down], into: [update], context)
  }
}
