import Kernels

/// Gated delta-net attention: a state of fixed size instead of a cache.
struct LinearAttentionBlock: Sendable {
  private let shape: LinearAttentionShape
  private let mixed: LinearBlock
  /// [taps, channels].
  private let convolution: [Float]
  private let decay: LinearBlock
  private let decayParameters: DecayParameters
  private let learning: LinearBlock
  private let gate: LinearBlock
  private let norm: RowNorm
  private let output: LinearBlock

  init(
    _ description: ModelDescription.LinearAttention, _ loader: WeightLoader, _ compute: Compute
  ) throws {
    shape = description.shape
    mixed = try LinearBlock(description.mixed, loader)
    let (taps, channels) = (shape.taps, shape.channels)
    let stored = try loader.vector(
      TensorRequirement(
        name: description.convolution.name, shape: description.convolution.shape))
    convolution = (0..<taps * channels).map { stored[$0 % channels * taps + $0 / channels] }
    decay = try LinearBlock(description.decay, loader)
    let heads = [description.valueHeads]
    let rates = try loader.vector(TensorRequirement(name: description.decayRate, shape: heads))
    decayParameters = DecayParameters(
      rates: description.isRateLogarithm ? compute.exp(rates).map { -$0 } : rates,
      biases: try loader.vector(TensorRequirement(name: description.decayBias, shape: heads)))
    learning = try LinearBlock(description.learning, loader)
    gate = try LinearBlock(description.gate, loader)
    norm = try RowNorm(description.norm, loader)
    output = try LinearBlock(description.output, loader)
  }

  var byteCount: Int {
    [mixed, decay, learning, gate, output].reduce(0) { $0 + $1.byteCount }
  }

  /// update[rows, D] from x[rows, D], prepared first, which may read `update`; brings the states of
  /// `sequences` up to date.
  func run(
    _ x: Tensor, _ preparation: RowPreparation, _ sequences: [RecurrentRows],
    into update: Tensor, _ context: StepContext
  ) throws {
    let compute = context.compute
    let raw = try context.tensor(.mixedChannels, columns: shape.channels)
    let gates = try context.tensor(.attentionGate, columns: gate.weights.outputs)
    let decays = try context.tensor(.decay, columns: shape.valueHeads)
    let rates = try context.tensor(.learning, columns: shape.valueHeads)
    try LinearBlock.run(
      x, prepared: preparation, [mixed, gate, decay, learning],
      into: [raw, gates, decays, rates], context)
    let channels = try context.tensor(.channels, columns: shape.channels)
    try compute.convolve(raw, convolution, shape, sequences, into: channels)
    compute.normaliseHeads(
      channels, shape, epsilon: 1e-6, queryScale: 1 / Float(shape.keyDimension).squareRoot())
    compute.decays(decays, decayParameters)
    compute.sigmoidRows(rates)
    let values = try context.tensor(.mixed, columns: shape.valueHeads * shape.valueDimension)
    try compute.deltaRule(channels, decays: decays, rates: rates, shape, sequences, into: values)
    compute.rmsNormHeads(
      values, dimension: shape.valueDimension, weight: norm.weight, epsilon: norm.epsilon)
    try LinearBlock.run(
      gates, prepared: .gate(.silu, up: values), [output], into: [update], context)
  }
}

extension ModelDescription.LinearAttention {
  var shape: LinearAttentionShape {
    LinearAttentionShape(
      keyHeads: keyHeads, valueHeads: valueHeads, keyDimension: keyDimension,
      valueDimension: valueDimension, taps: taps,
      areValueHeadsTiled: areValueHeadsTiled ?? false)
  }
}
