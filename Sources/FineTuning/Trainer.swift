import Kernels
import ModelFormats
import Models

/// How a trainer steps.
package struct OptimiserSettings: Sendable, Hashable, Codable {
  package var learningRate: Double
  package var beta1: Double
  package var beta2: Double
  package var epsilon: Double
  package var weightDecay: Double
  /// The norm that gradients are clipped to; nil: they are not.
  package var maximumNorm: Double?

  /// AdamW as `torch.optim.AdamW` begins, but without weight decay, which would pull adapters back
  /// to nothing.
  package init(
    learningRate: Double = 2e-4, beta1: Double = 0.9, beta2: Double = 0.999,
    epsilon: Double = 1e-8, weightDecay: Double = 0, maximumNorm: Double? = 1
  ) {
    self.learningRate = learningRate
    (self.beta1, self.beta2, self.epsilon) = (beta1, beta2, epsilon)
    (self.weightDecay, self.maximumNorm) = (weightDecay, maximumNorm)
  }
}

/// Trains an adapter over a frozen model. Owned by one thread at a time.
///
/// What it computes depends on model, adapter, batches and settings alone, bit for bit: not on
/// threads or processor, nor on how many sequences go through the layers together or which layers'
/// activations are kept ("Training" in NUMERICS.md).
package final class Trainer {
  /// What may be had for memory. None of it shows in a result.
  package struct Limits: Sendable, Hashable {
    /// Rows that go through the layers together, if a sequence is not longer.
    package var rows: Int
    /// Bytes of activations that may be kept from the forward pass; what is not kept is computed
    /// again, layer by layer.
    package var activationBytes: Int

    package init(rows: Int = 1024, activationBytes: Int = 256 << 20) {
      (self.rows, self.activationBytes) = (max(1, rows), max(0, activationBytes))
    }
  }

  /// What one step did.
  package struct Outcome: Sendable, Hashable {
    /// The mean cross-entropy of the batch's labels, before the step.
    package var loss: Double
    /// Of the gradient of all parameters, before it was clipped.
    package var gradientNorm: Double
  }

  private let model: DenseModel
  private let template: Adapter
  private let layers: [TrainedLayer]
  private let head: OutputHead
  private let space: Workspace
  private let limits: Limits
  /// Of as many layers as may be kept, the last ones first.
  private var kept: [LayerActivations] = []
  private var working: [LayerActivations.Shape: LayerActivations] = [:]
  private var steps = 0
  /// Both ways, for as many positions as the longest sequence so far has had.
  private var ropes: [RopeTable] = []
  private var inverseRopes: [RopeTable] = []
  private var positions = 0
  /// The first layer with an adapter; those before it need no gradient.
  private let first: Int

  /// - Parameter compute: no executor may use it meanwhile.
  /// - Throws: `FormatError` for an adapter of another model, or of nothing;
  ///   `KernelError.outOfResources`.
  package init(
    _ frozen: FrozenModel, _ adapter: Adapter, compute: Compute, limits: Limits = Limits()
  ) throws {
    let model = frozen.dense
    try adapter.check(model.description)
    let ordered = adapter.ordered(for: model.description)
    guard let first = adapter.sites.first?.layer else {
      throw FormatError(.missing, file: "adapter", reason: "it adapts no matrix")
    }
    self.model = model
    self.first = first
    template = adapter
    layers = try model.layers.indices.map { index in
      try TrainedLayer(frozen, index, ordered, passesGradient: index > first)
    }
    head = OutputHead(frozen)
    space = Workspace(compute)
    self.limits = limits
    try pack()
  }

  /// The adapter as it is now.
  package var adapter: Adapter { collected(gradients: false) }

  /// One step of AdamW on the mean loss of a batch.
  ///
  /// - Throws: `TrainingError`, before anything has changed; `KernelError.outOfResources`.
  package func step(_ batch: TrainingBatch, _ settings: OptimiserSettings) throws -> Outcome {
    let loss = try accumulate(batch)
    let norm = collected(gradients: true).norm
    guard loss.isFinite, norm.isFinite else { throw TrainingError.notFinite }
    steps += 1
    let step = AdamWStep(
      clip: settings.clip(norm), learningRate: settings.learningRate, beta1: settings.beta1,
      beta2: settings.beta2, epsilon: settings.epsilon, weightDecay: settings.weightDecay,
      number: steps)
    for layer in layers {
      for group in layer.groups { group.step(step, space.compute) }
    }
    try pack()
    return Outcome(loss: loss, gradientNorm: norm)
  }

  /// The gradient of a batch's mean loss by every parameter; the adapter stays as it is.
  ///
  /// - Throws: as `step`.
  package func gradient(of batch: TrainingBatch) throws -> (loss: Double, gradient: Adapter) {
    let loss = try accumulate(batch)
    return (loss, collected(gradients: true))
  }

  /// The sum of a batch's losses, and how many labels they are of.
  ///
  /// - Throws: as `step`.
  package func loss(of batch: TrainingBatch) throws -> (sum: Double, labels: Int) {
    try check(batch)
    var sum = 0.0
    for part in parts(batch) {
      let pass = pass(part)
      let x = try forward(pass, keeping: false)
      for loss in try head.losses(
        x, labels: Self.labels(part), factor: 1, gradient: nil, space)
      { sum += Double(loss) }
    }
    guard sum.isFinite else { throw TrainingError.notFinite }
    return (sum, batch.labelCount)
  }

  /// Forgets the optimiser's moments, as a run that begins anew.
  package func restartOptimiser() {
    steps = 0
    for layer in layers {
      for group in layer.groups { group.forgetMoments() }
    }
  }

  /// Bytes that a trainer takes beside the weights and what rows take: transposes, the adapter with
  /// gradients, moments and two layouts of each, logits, and scratch of each thread.
  ///
  /// - Parameter longest: tokens of the longest sequence.
  /// - Throws: `KernelError.invalidWeights` for impossible dimensions.
  package static func fixedBytes(
    _ model: DenseModel, _ adapter: Adapter, longest: Int, threads: Int
  ) throws -> Int {
    let scratch = model.layers.reduce(0) { most, layer in
      max(
        most,
        Compute.attentionGradientBytes(
          tokens: longest, keyDimension: layer.attention.keyDimension,
          valueDimension: layer.attention.valueDimension))
    }
    return try FrozenModel.transposeBytes(model) + 8 * 4 * adapter.parameterCount
      + OutputHead.byteCount(model) + threads * scratch
  }

  /// Bytes that a row takes in a pass of which nothing is kept, about: a layer's activations and
  /// gradients, the inputs of all layers, and its cache.
  package static func rowBytes(_ model: DenseModel, _ adapter: Adapter) -> Int {
    var (widest, cache, ranks) = (0, 0, 0)
    var sources: Set<Int> = []
    for (index, layer) in model.layers.enumerated() {
      let widths = LinearKind.allCases.map { layer.linear($0)?.weights.outputs ?? 0 }
      widest = max(widest, widths.reduce(0, +) + 6 * model.description.hiddenSize)
      let keys = layer.key?.weights.outputs ?? 0
      cache = max(cache, keys + (layer.value?.weights.outputs ?? keys))
      // What later layers read is there twice, with its gradients, and in a cache of its own.
      if let source = layer.attention.sharedLayer { sources.insert(source) }
      let own = LinearKind.allCases.reduce(0) { sum, kind in
        sum + (adapter.pairs[LinearSite(layer: index, kind: kind)]?.rank ?? 0)
      }
      ranks = max(ranks, own)
    }
    let inputs = model.layers.count * model.description.hiddenSize
    let perLayer = model.perLayerEmbedding.map { 2 * $0.description.size * model.layers.count } ?? 0
    return 4 * (3 * widest + inputs + (1 + 3 * sources.count) * cache + 4 * ranks + perLayer)
  }

  // MARK: Details

  private func pack() throws {
    for layer in layers {
      for group in layer.groups { try group.pack(space.compute) }
    }
  }

  private func check(_ batch: TrainingBatch) throws {
    try batch.check(
      vocabulary: min(
        model.embedding.outputs, model.head.weights.outputs,
        model.perLayerEmbedding?.description.rows ?? .max),
      context: model.description.contextLength)
  }

  private func collected(gradients: Bool) -> Adapter {
    var adapter = template
    for (index, layer) in layers.enumerated() {
      for group in layer.groups {
        for (kind, pair) in group.pairs(gradients: gradients) {
          adapter.pairs[LinearSite(layer: index, kind: kind)] = pair
        }
      }
    }
    return adapter.orderedForTransformers(from: model.description)
  }

  /// Neighbouring sequences, as many together as fit into a pass.
  private func parts(_ batch: TrainingBatch) -> [ArraySlice<TrainingBatch.Sequence>] {
    var parts: [ArraySlice<TrainingBatch.Sequence>] = []
    var (start, rows) = (0, 0)
    for (index, sequence) in batch.sequences.enumerated() {
      if rows + sequence.tokens.count > limits.rows, start < index {
        parts.append(batch.sequences[start..<index])
        (start, rows) = (index, 0)
      }
      rows += sequence.tokens.count
    }
    if start < batch.sequences.count { parts.append(batch.sequences[start...]) }
    return parts
  }

  private func pass(_ part: ArraySlice<TrainingBatch.Sequence>) -> TrainingPass {
    let longest = part.reduce(0) { max($0, $1.tokens.count) }
    if longest > positions {
      ropes = model.ropes(positions: longest)
      inverseRopes = ropes.map(\.inverted)
      positions = longest
    }
    return TrainingPass(
      part.map(\.tokens), ropes: ropes, inverseRopes: inverseRopes, space)
  }

  /// The rows of a pass that have labels: those before the tokens that are to be foreseen.
  private static func labels(
    _ part: ArraySlice<TrainingBatch.Sequence>
  ) -> [(row: Int, token: Int32)] {
    var labels: [(row: Int, token: Int32)] = []
    var row = 0
    for sequence in part {
      for label in sequence.labels.dropFirst() {
        if label != TrainingBatch.ignored { labels.append((row, label)) }
        row += 1
      }
      row += 1
    }
    return labels
  }

  /// The mean loss, and gradients in the groups.
  private func accumulate(_ batch: TrainingBatch) throws -> Double {
    try check(batch)
    for layer in layers {
      for group in layer.groups { group.clearGradients() }
    }
    let count = Double(batch.labelCount)
    var sum = 0.0
    // Sequences without labels, too: whether one that is not finite spoils the step must not depend
    // on what shares its pass.
    for part in parts(batch) {
      let pass = pass(part)
      let x = try forward(pass, keeping: true)
      let d = try space.tensor(.streamGradient, columns: x.columns)
      let losses = try head.losses(
        x, labels: Self.labels(part), factor: Float(1 / count), gradient: d, space)
      for loss in losses { sum += Double(loss) }
      try backward(d, pass)
    }
    return sum / count
  }

  /// The residual stream after the last layer. Inputs of layers are kept, of some their
  /// activations.
  private func forward(_ pass: TrainingPass, keeping: Bool) throws -> Tensor {
    let compute = space.compute
    let x = try space.tensor(.stream, columns: model.description.hiddenSize)
    try compute.embed(pass.tokens, table: model.embedding, into: x)
    if let multiplier = model.description.embedding.multiplier {
      compute.scale(x, by: Float(multiplier))
    }
    try embedPerLayer(pass, x)
    if keeping { try plan(rows: x.rows) }
    for (index, layer) in layers.enumerated() {
      if keeping, index >= first { try remember(x, layer: index) }
      let activations = keeping ? try activations(of: index) : try scratch(index)
      try layer.forward(x, activations, pass)
    }
    return x
  }

  /// The per-layer inputs of the pass, from its tokens and their embeddings.
  private func embedPerLayer(_ pass: TrainingPass, _ embedded: Tensor) throws {
    guard let block = model.perLayerEmbedding else { return }
    let (compute, description) = (space.compute, block.description)
    let inputs = try Tensor(rows: 0, columns: description.size * layers.count)
    try compute.matmul(embedded, block.projection.weights, into: inputs)
    compute.scale(inputs, by: Float(description.projectionScale))
    compute.rmsNormHeads(
      inputs, dimension: description.size, weight: block.norm.weight, epsilon: block.norm.epsilon)
    let looked = try Tensor(rows: 0, columns: inputs.columns)
    try compute.embed(pass.tokens, table: block.table, into: looked)
    compute.scale(looked, by: Float(description.multiplier))
    compute.add(looked, to: inputs)
    compute.scale(inputs, by: Float(description.scale))
    pass.perLayerInputs = inputs
  }

  private func backward(_ d: Tensor, _ pass: TrainingPass) throws {
    for index in layers.indices.reversed() where index >= first {
      let activations = try activations(of: index)
      if index < firstKept {
        let x = try space.tensor(.stream, columns: d.columns)
        try space.compute.copy(inputs[index - first], to: x)
        try layers[index].forward(x, activations, pass)
      }
      try layers[index].backward(d, activations, pass)
    }
  }

  // MARK: Memory

  /// Residual streams before the layers from `first` on.
  private var inputs: [Tensor] = []
  /// The first layer whose activations are kept.
  private var firstKept = 0

  /// Decides which layers' activations are kept.
  private func plan(rows: Int) throws {
    var left = limits.activationBytes
    firstKept = layers.count
    while firstKept > first {
      let shape = LayerActivations.Shape(layers[firstKept - 1])
      left -= shape.rowBytes * rows
      guard left >= 0 else { break }
      firstKept -= 1
      if kept.count < layers.count - firstKept { kept.append(try LayerActivations(shape)) }
    }
    kept.removeLast(max(0, kept.count - (layers.count - firstKept)))
  }

  private func remember(_ x: Tensor, layer: Int) throws {
    guard layer < firstKept else { return }
    while inputs.count <= layer - first { inputs.append(try Tensor(rows: 0, columns: x.columns)) }
    try space.compute.copy(x, to: inputs[layer - first])
  }

  private func activations(of layer: Int) throws -> LayerActivations {
    layer >= firstKept ? kept[layers.count - 1 - layer] : try scratch(layer)
  }

  private func scratch(_ layer: Int) throws -> LayerActivations {
    let shape = LayerActivations.Shape(layers[layer])
    if let found = working[shape] { return found }
    let activations = try LayerActivations(shape)
    working[shape] = activations
    return activations
  }
}

extension OptimiserSettings {
  /// What gradients of this norm are multiplied with.
  package func clip(_ norm: Double) -> Float {
    guard let maximumNorm else { return 1 }
    return Float(min(1, maximumNorm / (norm + 1e-6)))
  }
}

extension Adapter {
  /// The Euclidean norm of all parameters: squares in float64, summed site by site, A before B.
  package var norm: Double {
    var sum = 0.0
    for site in sites {
      guard let pair = pairs[site] else { continue }
      for values in [pair.a, pair.b] {
        for value in values { sum += Double(value) * Double(value) }
      }
    }
    return sum.squareRoot()
  }
}
