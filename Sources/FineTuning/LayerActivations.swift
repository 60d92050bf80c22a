import Kernels

/// What a layer's backward pass wants of its forward pass, for the rows of one pass.
final class LayerActivations {
  /// The residual stream before the layer, and between attention and feed-forward.
  let input: Tensor
  let middle: Tensor
  /// Inputs of the four groups of matrices, and their A x.
  let mixerInput: Tensor
  let mixed: Tensor
  let feedForwardInput: Tensor
  let gated: Tensor
  let mixerLow: Tensor?
  let outputLow: Tensor?
  let feedForwardLow: Tensor?
  let downLow: Tensor?
  /// Before norms and rotation, where there are norms; and as they met.
  let plainQueries: Tensor?
  let plainKeys: Tensor?
  let plainValues: Tensor?
  let queries: Tensor
  /// Nil of a layer that reads those of an earlier one.
  let keys: Tensor?
  let values: Tensor?
  let gate: Tensor
  let up: Tensor
  /// What the blocks gave, before their norms.
  let mixerOutput: Tensor?
  let feedForwardOutput: Tensor?
  /// Of the layer's per-layer input: its gate, and what it gave before its norm.
  let perLayerGate: Tensor?
  let perLayerOutput: Tensor?

  init(_ shape: Shape) throws {
    func tensor(_ columns: Int) throws -> Tensor { try Tensor(rows: 0, columns: columns) }
    func optional(_ columns: Int) throws -> Tensor? {
      columns > 0 ? try tensor(columns) : nil
    }
    (input, middle) = (try tensor(shape.hidden), try tensor(shape.hidden))
    (mixerInput, feedForwardInput) = (try tensor(shape.hidden), try tensor(shape.hidden))
    (mixed, gated) = (try tensor(shape.mixed), try tensor(shape.wide))
    (mixerLow, outputLow) = (try optional(shape.ranks[0]), try optional(shape.ranks[1]))
    (feedForwardLow, downLow) = (try optional(shape.ranks[2]), try optional(shape.ranks[3]))
    plainQueries = try optional(shape.plain[0])
    plainKeys = try optional(shape.plain[1])
    plainValues = try optional(shape.plain[2])
    queries = try tensor(shape.queries)
    (keys, values) = (try optional(shape.keys), try optional(shape.values))
    (gate, up) = (try tensor(shape.wide), try tensor(shape.wide))
    mixerOutput = try optional(shape.outputs[0])
    feedForwardOutput = try optional(shape.outputs[1])
    perLayerGate = try optional(shape.perLayer[0])
    perLayerOutput = try optional(shape.perLayer[1])
  }

  /// Columns of the tensors; 0 of those that are not needed.
  struct Shape: Hashable {
    let hidden: Int
    let mixed: Int
    let wide: Int
    let queries: Int
    let keys: Int
    let values: Int
    /// Of the four groups' adapters.
    let ranks: [Int]
    /// Of queries, keys and values before their norms.
    let plain: [Int]
    /// Of attention and feed-forward before their norms.
    let outputs: [Int]
    /// Of the per-layer input's gate and output.
    let perLayer: [Int]

    init(_ layer: TrainedLayer) {
      let dense = layer.dense
      hidden = dense.output.weights.outputs
      mixed = dense.output.weights.inputs
      wide = dense.gate.weights.outputs
      queries = dense.query.weights.outputs
      keys = dense.key?.weights.outputs ?? 0
      // Without a matrix of their own, values are keys.
      values = dense.value?.weights.outputs ?? keys
      ranks = layer.groups.map(\.ranks)
      plain = [
        dense.queryNorm == nil ? 0 : queries, dense.keyNorm == nil ? 0 : keys,
        dense.valueNorm == nil ? 0 : values,
      ]
      outputs = [
        dense.mixerOutputNorm == nil ? 0 : hidden, dense.feedForwardOutputNorm == nil ? 0 : hidden,
      ]
      let gate = dense.perLayerInput?.gate.weights.outputs
      perLayer = [gate ?? 0, gate == nil ? 0 : hidden]
    }

    /// Bytes that one row takes.
    var rowBytes: Int {
      4 * (4 * hidden + mixed + 3 * wide + queries + keys + values + ranks.reduce(0, +)
        + plain.reduce(0, +) + outputs.reduce(0, +) + perLayer.reduce(0, +))
    }
  }
}
