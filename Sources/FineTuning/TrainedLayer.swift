import Kernels
import Models

/// A layer with adapters, forwards and backwards over whole sequences.
final class TrainedLayer {
  let dense: DenseModel.Layer
  /// Query, key and value; output; gate and up; down.
  let mixer: LinearGroup
  let output: LinearGroup
  let feedForward: LinearGroup
  let down: LinearGroup
  private let ropeStyle: ModelDescription.Rope.Style?
  private let passesGradient: Bool
  private let index: Int
  /// Whether later layers read its keys and values.
  private let isSource: Bool
  private let perLayer: FrozenModel.PerLayer?
  var groups: [LinearGroup] { [mixer, output, feedForward, down] }

  /// - Parameter passesGradient: whether anything before the layer wants a gradient.
  init(
    _ frozen: FrozenModel, _ index: Int, _ adapter: Adapter, passesGradient: Bool
  ) throws {
    let (model, layer) = (frozen.dense, frozen.dense.layers[index])
    dense = layer
    self.passesGradient = passesGradient
    self.index = index
    isSource = model.layers.contains { $0.attention.sharedLayer == index }
    perLayer = frozen.perLayer[index]
    ropeStyle = layer.attention.rope.map { model.description.ropes[$0].style }
    let groups = try FrozenModel.groupKinds(layer).enumerated().map { place, kinds in
      try LinearGroup(
        layer, kinds, index: index, adapter,
        transposed: place == 0 && !passesGradient ? nil : frozen.groups[index][place])
    }
    (mixer, output, feedForward, down) = (groups[0], groups[1], groups[2], groups[3])
  }

  /// x [rows, D] becomes what the layer makes of it; `kept` what `backward` wants.
  func forward(_ x: Tensor, _ kept: LayerActivations, _ pass: TrainingPass) throws {
    let (space, compute) = (pass.space, pass.space.compute)
    try compute.copy(x, to: kept.input)
    try normalise(x, dense.mixerNorm, into: kept.mixerInput, compute)
    let placed = [kept.queries, kept.keys, dense.value == nil ? nil : kept.values]
    try mixer.forward(
      kept.mixerInput, into: placed.compactMap(\.self), low: kept.mixerLow, space)
    if dense.value == nil, let keys = kept.keys, let values = kept.values {
      try compute.copy(keys, to: values)
    }
    if let plain = kept.plainQueries { try compute.copy(kept.queries, to: plain) }
    if let plain = kept.plainKeys, let keys = kept.keys { try compute.copy(keys, to: plain) }
    try attend(kept, pass)
    let update = try space.tensor(.update, columns: x.columns)
    let attended = kept.mixerOutput ?? update
    try output.forward(kept.mixed, into: [attended], low: kept.outputLow, space)
    try addUpdate(attended, dense.mixerOutputNorm, to: x, space)
    try compute.copy(x, to: kept.middle)
    try normalise(x, dense.feedForwardNorm, into: kept.feedForwardInput, compute)
    try feedForward.forward(
      kept.feedForwardInput, into: [kept.gate, kept.up], low: kept.feedForwardLow, space)
    try compute.gate(dense.activation, kept.gate, kept.up, into: kept.gated)
    let fed = kept.feedForwardOutput ?? update
    try down.forward(kept.gated, into: [fed], low: kept.downLow, space)
    try addUpdate(fed, dense.feedForwardOutputNorm, to: x, space)
    try addPerLayerInput(x, kept, pass)
    if let scalar = dense.scalar { compute.scale(x, by: scalar) }
  }

  private func addPerLayerInput(
    _ x: Tensor, _ kept: LayerActivations, _ pass: TrainingPass
  ) throws {
    let (space, compute) = (pass.space, pass.space.compute)
    guard let block = dense.perLayerInput, let gate = kept.perLayerGate,
      let output = kept.perLayerOutput
    else { return }
    let input = try perLayerInput(gate.columns, pass)
    try multiply(x, block.gate, into: gate, compute)
    let gated = try space.tensor(.perLayerGated, columns: gate.columns)
    try compute.gate(block.activation, gate, input, into: gated)
    try multiply(gated, block.projection, into: output, compute)
    try addUpdate(output, block.norm, to: x, space)
  }

  /// The layer's part of what the pass has for all layers.
  private func perLayerInput(_ size: Int, _ pass: TrainingPass) throws -> Tensor {
    let input = try pass.space.tensor(.perLayerInput, columns: size)
    guard let all = pass.perLayerInputs else { return input }
    try input.resize(rows: all.rows)
    pass.space.compute.copyHeads(
      all, from: HeadColumns(column: index * size, stride: 0), to: input,
      at: HeadColumns(stride: 0), heads: 1, count: size)
    return input
  }

  private func multiply(
    _ x: Tensor, _ linear: DenseModel.Linear, into output: Tensor, _ compute: Compute
  ) throws {
    try compute.matmul(x, linear.weights, into: output)
    if let bias = linear.bias { compute.add(bias: bias, to: output) }
  }

  private func normalise(
    _ x: Tensor, _ norm: RowNorm?, into output: Tensor, _ compute: Compute
  ) throws {
    guard let norm else { return try compute.copy(x, to: output) }
    try compute.rmsNorm(x, weight: norm.weight, epsilon: norm.epsilon, into: output)
  }

  private func addUpdate(
    _ update: Tensor, _ norm: RowNorm?, to x: Tensor, _ space: Workspace
  ) throws {
    guard let norm else { return space.compute.add(update, to: x) }
    let normed = try space.tensor(.normed, columns: x.columns)
    try space.compute.rmsNorm(update, weight: norm.weight, epsilon: norm.epsilon, into: normed)
    space.compute.add(normed, to: x)
  }

  /// Queries and keys are rotated in place; values become what is stored.
  private func attend(_ kept: LayerActivations, _ pass: TrainingPass) throws {
    let compute = pass.space.compute
    if let values = kept.values {
      if let norm = dense.valueNorm, let plain = kept.plainValues {
        try compute.copy(values, to: plain)
        compute.rmsNormHeads(
          values, dimension: dense.attention.valueDimension, weight: norm.weight,
          epsilon: norm.epsilon)
      }
      if let scale = dense.attention.valueScale { compute.scale(values, by: Float(scale)) }
    }
    let source = dense.attention.sharedLayer ?? (isSource ? index : nil)
    let rows = AttentionRows(
      queries: kept.queries, keys: kept.keys, values: kept.values, queryNorm: dense.queryNorm,
      keyNorm: dense.keyNorm, rope: rope(pass.ropes),
      queryGrowth: growth)
    try compute.attend(
      rows, layer: 0, shape: dense.shape,
      sequences: try pass.caches(for: dense.attention, source: source), into: kept.mixed)
    if isSource, let keys = kept.keys, let values = kept.values {
      try pass.share(keys, values, of: index)
    }
  }

  private var growth: QueryGrowth? {
    dense.attention.queryGrowth.map { QueryGrowth(beta: $0.beta, length: $0.length) }
  }

  private func rope(_ ropes: [RopeTable]) -> HeadRope? {
    guard let index = dense.attention.rope, let style = ropeStyle else { return nil }
    return HeadRope(table: ropes[index], isInterleaved: style == .interleaved)
  }

  /// The gradient d [rows, D] of what the layer gave becomes that of what it took, if anything
  /// wants it; gradients of the adapters grow.
  func backward(_ d: Tensor, _ kept: LayerActivations, _ pass: TrainingPass) throws {
    let compute = pass.space.compute
    if let scalar = dense.scalar { compute.scale(d, by: scalar) }
    try perLayerBackward(d, kept, pass)
    try feedForwardBackward(d, kept, pass)
    try mixerBackward(d, kept, pass)
  }

  /// d += the gradient by way of the per-layer input's gate. The input itself follows from tokens
  /// alone.
  private func perLayerBackward(
    _ d: Tensor, _ kept: LayerActivations, _ pass: TrainingPass
  ) throws {
    let (space, compute) = (pass.space, pass.space.compute)
    guard let block = dense.perLayerInput, let perLayer, let gate = kept.perLayerGate else {
      return
    }
    let above = try gradient(d, before: block.norm, kept.perLayerOutput, space)
    let inner = try space.tensor(.perLayerGated, columns: gate.columns)
    try compute.matmul(above, perLayer.projection, into: inner)
    let own = try space.tensor(.perLayerGradient, columns: gate.columns)
    let other = try space.tensor(.perLayerOther, columns: gate.columns)
    try compute.gateGradient(
      block.activation, gate, try perLayerInput(gate.columns, pass), inner, into: own, other)
    let below = try space.tensor(.gradient, columns: d.columns)
    try compute.matmul(own, perLayer.gate, into: below)
    compute.add(below, to: d)
  }

  /// d += the gradient by way of the feed-forward.
  private func feedForwardBackward(
    _ d: Tensor, _ kept: LayerActivations, _ pass: TrainingPass
  ) throws {
    let (space, compute) = (pass.space, pass.space.compute)
    let above = try gradient(d, before: dense.feedForwardOutputNorm, kept.feedForwardOutput, space)
    let wide = dense.gate.weights.outputs
    let inner = try space.tensor(.innerGradient, columns: wide)
    try down.backward(
      above, kept.gated, low: kept.downLow, sequences: pass.sequences, into: inner, space)
    let (gate, up) = (
      try space.tensor(.gateGradient, columns: wide), try space.tensor(.upGradient, columns: wide)
    )
    try compute.gateGradient(dense.activation, kept.gate, kept.up, inner, into: gate, up)
    let both = try beside([gate, up], space)
    let below = try space.tensor(.gradient, columns: d.columns)
    try feedForward.backward(
      both, kept.feedForwardInput, low: kept.feedForwardLow, sequences: pass.sequences,
      into: below, space)
    try add(below, through: dense.feedForwardNorm, kept.middle, to: d, compute)
  }

  /// d += the gradient by way of attention.
  private func mixerBackward(_ d: Tensor, _ kept: LayerActivations, _ pass: TrainingPass) throws {
    let (space, compute) = (pass.space, pass.space.compute)
    let above = try gradient(d, before: dense.mixerOutputNorm, kept.mixerOutput, space)
    let mixed = try space.tensor(.innerGradient, columns: kept.mixed.columns)
    try output.backward(
      above, kept.mixed, low: kept.outputLow, sequences: pass.sequences, into: mixed, space)
    guard passesGradient || mixer.hasAdapters || dense.attention.sharedLayer != nil else { return }
    let read = dense.attention.sharedLayer.flatMap { pass.sharedRows(of: $0) }
    guard let keys = kept.keys ?? read?.keys, let values = kept.values ?? read?.values else {
      return
    }
    let gradients = AttentionTensors(
      queries: try space.tensor(.queryGradient, columns: kept.queries.columns),
      keys: try space.tensor(.keyGradient, columns: keys.columns),
      values: try space.tensor(.valueGradient, columns: values.columns))
    try compute.attentionGradient(
      AttentionTensors(queries: kept.queries, keys: keys, values: values), mixed,
      shape: dense.shape, keyValueHeads: dense.attention.keyValueHeads,
      sequences: pass.sequences, into: gradients)
    if let read {
      compute.add(gradients.keys, to: read.keysGradient)
      compute.add(gradients.values, to: read.valuesGradient)
    } else if isSource, let own = pass.sharedRows(of: index) {
      compute.add(own.keysGradient, to: gradients.keys)
      compute.add(own.valuesGradient, to: gradients.values)
    }
    try undoPlacement(gradients, kept, pass)
    let all = try beside(outputs(gradients, compute), space)
    let below = passesGradient ? try space.tensor(.gradient, columns: d.columns) : nil
    try mixer.backward(
      all, kept.mixerInput, low: kept.mixerLow, sequences: pass.sequences, into: below, space)
    if let below { try add(below, through: dense.mixerNorm, kept.input, to: d, compute) }
  }

  /// The gradients of what the mixer's matrices gave: values that are keys add to theirs, and what
  /// an earlier layer made has its gradient there.
  private func outputs(_ gradients: AttentionTensors, _ compute: Compute) -> [Tensor] {
    guard dense.key != nil else { return [gradients.queries] }
    guard dense.value == nil else { return [gradients.queries, gradients.keys, gradients.values] }
    compute.add(gradients.values, to: gradients.keys)
    return [gradients.queries, gradients.keys]
  }

  /// Gradients of queries, keys and values as they met become those of what the matrices gave.
  private func undoPlacement(
    _ gradients: AttentionTensors, _ kept: LayerActivations, _ pass: TrainingPass
  ) throws {
    let compute = pass.space.compute
    if let growth {
      for row in 0..<gradients.queries.rows {
        let factor = growth.factor(at: Int(pass.positions[row]))
        for index in gradients.queries[row].indices { gradients.queries[row][index] *= factor }
      }
    }
    if let rope = rope(pass.inverseRopes) {
      for tensor in dense.key == nil ? [gradients.queries] : [gradients.queries, gradients.keys] {
        compute.rope(
          tensor, dimension: dense.attention.keyDimension, positions: pass.positions,
          table: rope.table, interleaved: rope.isInterleaved)
      }
    }
    if let norm = dense.queryNorm, let plain = kept.plainQueries {
      try compute.rmsNormHeadsGradient(plain, norm, gradients.queries, into: gradients.queries)
    }
    if let norm = dense.keyNorm, let plain = kept.plainKeys {
      try compute.rmsNormHeadsGradient(plain, norm, gradients.keys, into: gradients.keys)
    }
    guard dense.key != nil else { return }
    if let scale = dense.attention.valueScale {
      compute.scale(gradients.values, by: Float(scale))
    }
    if let norm = dense.valueNorm, let plain = kept.plainValues {
      try compute.rmsNormHeadsGradient(plain, norm, gradients.values, into: gradients.values)
    }
  }

  /// The gradient of what a block gave, before its norm; d itself without one.
  private func gradient(
    _ d: Tensor, before norm: RowNorm?, _ x: Tensor?, _ space: Workspace
  ) throws -> Tensor {
    guard let norm, let x else { return d }
    let above = try space.tensor(.normed, columns: d.columns)
    try space.compute.rmsNormGradient(x, norm, d, into: above)
    return above
  }

  /// d += what comes below a norm of x.
  private func add(
    _ below: Tensor, through norm: RowNorm?, _ x: Tensor, to d: Tensor, _ compute: Compute
  ) throws {
    if let norm { try compute.rmsNormGradient(x, norm, below, into: below) }
    compute.add(below, to: d)
  }

  private func beside(_ tensors: [Tensor], _ space: Workspace) throws -> Tensor {
    let all = try space.tensor(
      .groupGradient, columns: tensors.reduce(0) { $0 + $1.columns })
    try all.resize(rows: tensors[0].rows)
    var column = 0
    for tensor in tensors {
      space.compute.copyHeads(
        tensor, from: HeadColumns(stride: 0), to: all, at: HeadColumns(column: column, stride: 0),
        heads: 1, count: tensor.columns)
      column += tensor.columns
    }
    return all
  }
}
