import Kernels

/// y = W x + b.
struct LinearBlock: Sendable {
  let weights: PackedWeights
  let bias: [Float]?
  /// The whole tensor that the rows are of.
  let stored: InputSite.Matrix
  /// What an adapter adds.
  var lowRank: LowRankBlock?

  /// - Parameter shared: the matrix if it is loaded already, as with tied embeddings.
  init(
    _ description: ModelDescription.Linear, _ loader: WeightLoader, shared: PackedWeights? = nil
  ) throws {
    weights = try shared ?? loader.matrix(description.matrix)
    stored = InputSite.Matrix(
      tensor: description.weight, rows: 0..<(description.rows?.of ?? description.outputs))
    bias = try description.biasRequirement.map {
      let all = try loader.vector($0)
      return description.rows?.ranges.flatMap { all[$0] } ?? all
    }
  }

  var byteCount: Int { weights.byteCount + (lowRank?.byteCount ?? 0) }

  /// x [rows, inputs], prepared first, through several matrices at once, which quantises the
  /// activations once.
  static func run(
    _ x: Tensor, prepared preparation: RowPreparation = .none, _ blocks: [LinearBlock],
    into outputs: [Tensor], _ context: StepContext
  ) throws {
    var (x, preparation) = try context.observed(x, preparation, InputSite(blocks))
    if preparation.isAny, blocks.contains(where: { $0.lowRank != nil }) {
      let prepared = try context.tensor(.adapted, columns: x.columns)
      try context.compute.prepare(x, preparation, into: prepared)
      (x, preparation) = (prepared, .none)
    }
    try context.compute.matmul(x, prepared: preparation, blocks.map(\.weights), into: outputs)
    for (block, output) in zip(blocks, outputs) {
      if let bias = block.bias { context.compute.add(bias: bias, to: output) }
      try block.lowRank?.add(x, to: output, context)
    }
  }
}

/// One matrix for each head or expert, in panels of their own.
struct MatrixStackBlock: Sendable {
  let weights: PackedWeights
  let outputs: Int
  let inputs: Int
  let name: String
  /// Of each matrix, the rows that hold it.
  let stored: [InputSite.Matrix]
  private let panelsEach: Int
  /// Nil where the weights stay in memory.
  private let reading: StreamedReading?

  init(_ description: ModelDescription.MatrixStack, _ loader: WeightLoader) throws {
    weights = try loader.matrix(description.matrix)
    (outputs, inputs) = (description.outputs, description.inputs)
    let requirement = description.matrix
    name = requirement.name
    stored = requirement.pieces.map { InputSite.Matrix(tensor: $0.tensor.name, rows: $0.rows) }
    panelsEach = description.paddedOutputs / 16
    reading = loader.packed?.isStreamed == true ? StreamedReading() : nil
  }

  /// Whether the weights come and go, for want of memory.
  var isStreamed: Bool { reading != nil }

  /// Has matrix `index` read while something else is computed, if it is not in memory.
  func prepare(_ index: Int) {
    guard let reading else { return }
    for bytes in weights.bytes(ofPanels: panels(index)) { reading.begin(bytes) }
  }

  /// Columns that a product with one of them writes.
  var paddedOutputs: Int { panelsEach * 16 }

  /// The panels of matrix `index`.
  func panels(_ index: Int) -> Range<Int> { index * panelsEach..<(index + 1) * panelsEach }
}

extension RowNorm {
  init(_ description: ModelDescription.Norm, _ loader: WeightLoader) throws {
    var weight =
      try description.requirement.map { try loader.vector($0) }
      ?? [Float](repeating: 1, count: description.size)
    if let offset = description.offset { weight = weight.map { $0 + Float(offset) } }
    if let scale = description.scale { weight = weight.map { $0 * Float(scale) } }
    self.init(weight: weight, epsilon: Float(description.epsilon))
  }
}

extension GatedActivation {
  init(_ activation: ModelDescription.Activation) {
    switch activation {
    case .silu: self = .silu
    case .geluTanh: self = .geluTanh
    case .gelu: self = .gelu
    }
  }
}
