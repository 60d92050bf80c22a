import Kernels
import ModelFormats

/// A tensor that a description needs.
package struct TensorRequirement: Hashable, Sendable {
  /// The name in the source.
  package let name: String
  /// Outermost dimension first.
  package let shape: [Int]

  package init(name: String, shape: [Int]) {
    self.name = name
    self.shape = shape
  }

  /// Elements of all but the innermost dimension.
  var rows: Int { shape.dropLast().reduce(1, *) }
  /// Elements.
  var count: Int { shape.reduce(1, *) }
}

/// A matrix [outputs, inputs] as the kernels hold it: rows of stored tensors, one piece after the
/// other.
package struct MatrixRequirement: Hashable, Sendable {
  /// Rows of one tensor, or a block of it whose columns become rows.
  package struct Piece: Hashable, Sendable {
    let tensor: TensorRequirement
    /// The scales of FP8 weights: one for each 128 x 128 of the tensor.
    let scales: TensorRequirement?
    /// Stored rows after which the blocks of scales begin anew; nil: they do not.
    var scalesPeriod: Int?
    /// Of the tensor, its leading dimensions taken together.
    let rows: Range<Int>
    /// Whether the tensor's columns are rows here.
    var isTransposed = false
    /// Rows of zeros that follow.
    var zeros = 0

    /// Rows of the matrix.
    var outputs: Int { (isTransposed ? tensor.shape.last ?? 0 : rows.count) + zeros }
  }

  /// Unlike that of any other matrix of the model.
  package let name: String
  /// Rows, those of zeros included.
  package let outputs: Int
  /// Columns.
  package let inputs: Int
  package let pieces: [Piece]

  init(name: String, inputs: Int, pieces: [Piece]) {
    self.name = name
    self.inputs = inputs
    self.pieces = pieces
    outputs = pieces.reduce(0) { $0 + $1.outputs }
  }
}

/// Everything that a model, or a part of it, is loaded from.
package struct WeightRequirements: Hashable, Sendable {
  package var matrices: [MatrixRequirement] = []
  package var vectors: [TensorRequirement] = []

  /// The tensors of the source, each once, in the order of use.
  package var tensors: [TensorRequirement] {
    let ofMatrices = matrices.flatMap { matrix in
      matrix.pieces.flatMap { [$0.tensor] + ($0.scales.map { [$0] } ?? []) }
    }
    var seen: Set<String> = []
    return (ofMatrices + vectors).filter { seen.insert($0.name).inserted }
  }

  /// The same without what is named twice.
  var distinct: WeightRequirements {
    var seen: Set<String> = []
    return WeightRequirements(
      matrices: matrices.filter { seen.insert($0.name).inserted },
      vectors: vectors.filter { seen.insert($0.name).inserted })
  }

  mutating func add(_ linear: ModelDescription.Linear?) {
    guard let linear else { return }
    matrices.append(linear.matrix)
    if let bias = linear.biasRequirement { vectors.append(bias) }
  }

  mutating func add(_ norm: ModelDescription.Norm?) {
    if let requirement = norm?.requirement { vectors.append(requirement) }
  }

  mutating func add(vector name: String?, _ shape: [Int]) {
    if let name { vectors.append(TensorRequirement(name: name, shape: shape)) }
  }
}

extension ModelDescription {
  /// What the whole model is loaded from.
  package var requirements: WeightRequirements { requirements(of: .whole(of: self)) }

  /// Every tensor that the model is computed from, each once, in the order of use.
  package var requiredTensors: [TensorRequirement] { requirements.tensors }

  /// What a part is loaded from.
  package func requirements(of part: ModelPart) -> WeightRequirements {
    var all = WeightRequirements()
    if part.hasEmbedding { all.matrices.append(embedding.matrix(self)) }
    if part.hasEmbedding, let perLayer = embedding.perLayer {
      all.matrices.append(perLayer.matrix(layers: layers.count))
      all.add(perLayer.projection)
      all.add(perLayer.norm)
    }
    for rope in ropes {
      if case .tensor(let name) = rope.scaling {
        all.add(vector: name, [rope.pairs])
      }
    }
    for layer in layers[part.layers] { layer.require(&all) }
    if part.hasHead {
      all.add(finalNorm)
      all.add(output)
    }
    return all.distinct
  }
}

/// Consecutive layers of a model, with the embedding before the first and the head after the last
/// as stages of their own.
package struct ModelPart: Hashable, Sendable {
  package var hasEmbedding: Bool
  package var layers: Range<Int>
  /// The final norm and the output matrix.
  package var hasHead: Bool

  package init(hasEmbedding: Bool, layers: Range<Int>, hasHead: Bool) {
    self.hasEmbedding = hasEmbedding
    self.layers = layers
    self.hasHead = hasHead
  }

  /// All of it.
  package static func whole(of description: ModelDescription) -> ModelPart {
    ModelPart(hasEmbedding: true, layers: 0..<description.layers.count, hasHead: true)
  }

  /// Throws `FormatError` for layers that the model lacks.
  func check(_ description: ModelDescription, file: String) throws {
    guard layers.lowerBound >= 0, layers.upperBound <= description.layers.count else {
      throw FormatError(
        .malformed, file: file,
        reason: "layers \(layers) of a model of \(description.layers.count)")
    }
  }
}

extension ModelDescription.Embedding {
  func matrix(_ model: ModelDescription) -> MatrixRequirement {
    ModelDescription.Linear(
      weight: weight, inputs: model.hiddenSize, outputs: model.vocabularySize
    ).matrix
  }
}

extension ModelDescription.PerLayerEmbedding {
  func matrix(layers: Int) -> MatrixRequirement {
    ModelDescription.Linear(weight: weight, inputs: layers * size, outputs: rows).matrix
  }
}

extension ModelDescription.Layer {
  /// Adds what the layer is loaded from.
  func require(_ all: inout WeightRequirements) {
    for norm in [mixerNorm, mixerOutputNorm, feedForwardNorm, feedForwardOutputNorm] {
      all.add(norm)
    }
    for linear in linears { all.add(linear) }
    all.matrices += stacks.map(\.matrix)
    switch mixer {
    case .attention(let attention): attention.requireVectors(&all)
    case .latent(let latent): latent.requireVectors(&all)
    case .linear(let linear): linear.requireVectors(&all)
    }
    feedForward.requireVectors(&all)
    all.add(perLayerInput?.norm)
    all.add(vector: scalar, [1])
  }

  /// All matrices but those of experts and heads.
  var linears: [ModelDescription.Linear] {
    let mixerLinears =
      switch mixer {
      case .attention(let attention): attention.linears
      case .latent(let latent): latent.linears
      case .linear(let linear): linear.linears
      }
    let inputLinears = perLayerInput.map { [$0.gate, $0.projection] } ?? []
    return mixerLinears + feedForward.linears + inputLinears
  }

  /// The matrices of heads, and of experts.
  var stacks: [ModelDescription.MatrixStack] {
    guard case .latent(let latent) = mixer else { return feedForward.stacks }
    return [latent.absorbedKey, latent.absorbedValue] + feedForward.stacks
  }
}

extension ModelDescription.Attention {
  var linears: [ModelDescription.Linear] { [query, key, value, gate, output].compactMap { $0 } }

  func requireVectors(_ all: inout WeightRequirements) {
    for norm in [queryNorm, keyNorm, valueNorm] { all.add(norm) }
    all.add(vector: sinks, [heads])
  }
}

extension ModelDescription.LatentAttention {
  var linears: [ModelDescription.Linear] {
    [queryDown, query, queryRope, latent, keyRope, output].compactMap { $0 }
  }

  func requireVectors(_ all: inout WeightRequirements) {
    for norm in [queryDownNorm, latentNorm] { all.add(norm) }
  }
}

extension ModelDescription.LinearAttention {
  /// Queries, keys and values.
  var channels: Int { 2 * keyHeads * keyDimension + valueHeads * valueDimension }

  var linears: [ModelDescription.Linear] { [mixed, decay, learning, gate, output] }

  func requireVectors(_ all: inout WeightRequirements) {
    all.add(norm)
    all.add(vector: convolution.name, convolution.shape)
    all.add(vector: decayRate, [valueHeads])
    all.add(vector: decayBias, [valueHeads])
  }
}

extension ModelDescription.FeedForward {
  var linears: [ModelDescription.Linear] {
    switch self {
    case .gated(let gated): gated.linears
    case .experts(let experts): experts.linears
    case .both(let both): both.gated.linears + both.experts.linears
    }
  }

  var stacks: [ModelDescription.MatrixStack] { experts?.stacks ?? [] }

  var experts: ModelDescription.Experts? {
    switch self {
    case .gated: nil
    case .experts(let experts): experts
    case .both(let both): both.experts
    }
  }

  func requireVectors(_ all: inout WeightRequirements) {
    if let experts {
      all.add(vector: experts.routing.correction, [experts.count])
      all.add(vector: experts.routing.expertScales, [experts.count])
    }
    guard case .both(let both) = self else { return }
    for norm in [
      both.gatedOutputNorm, both.routerNorm, both.expertsNorm, both.expertsOutputNorm,
    ] { all.add(norm) }
  }
}

extension ModelDescription.GatedFeedForward {
  var linears: [ModelDescription.Linear] { [gate, up, down] }
}

extension ModelDescription.Experts {
  var linears: [ModelDescription.Linear] {
    [router] + (shared?.linears ?? []) + (sharedGate.map { [$0] } ?? [])
  }

  var stacks: [ModelDescription.MatrixStack] { [gate, up, down] }
}

extension ModelDescription.Norm {
  /// nil where there are no weights.
  var requirement: TensorRequirement? {
    weight.map { TensorRequirement(name: $0, shape: [size]) }
  }
}

extension ModelDescription.Linear {
  var matrix: MatrixRequirement {
    let tensor = TensorRequirement(name: weight, shape: [rows?.of ?? outputs, inputs])
    let scales = scales.map { scalesRequirement($0, of: tensor, period: scalesPeriod) }
    func piece(_ rows: Range<Int>) -> MatrixRequirement.Piece {
      .init(tensor: tensor, scales: scales, scalesPeriod: scalesPeriod, rows: rows)
    }
    guard let rows else {
      return MatrixRequirement(name: weight, inputs: inputs, pieces: [piece(0..<outputs)])
    }
    return MatrixRequirement(
      name: weight + rows.suffix, inputs: inputs, pieces: rows.ranges.map(piece))
  }

  /// The bias has an element for each row of the stored matrix.
  var biasRequirement: TensorRequirement? {
    bias.map { TensorRequirement(name: $0, shape: [rows?.of ?? outputs]) }
  }
}

/// A scale for each 128 x 128 weights of a tensor.
private func scalesRequirement(
  _ name: String, of tensor: TensorRequirement, period: Int? = nil
) -> TensorRequirement {
  let (rows, columns) = (tensor.shape.dropLast().last ?? 1, tensor.shape.last ?? 0)
  func blocks(_ count: Int, _ period: Int?) -> Int {
    BlockScales.blockRows(outputs: count, period: max(1, period ?? count))
  }
  return TensorRequirement(
    name: name, shape: tensor.shape.dropLast(2) + [blocks(rows, period), blocks(columns, nil)])
}

extension ModelDescription.RowSelection {
  /// The rows, in order.
  var ranges: [Range<Int>] {
    slices.flatMap { slice in
      (0..<slice.repeats).map {
        let first = slice.start + $0 * slice.period
        return first..<first + slice.count
      }
    }
  }

  /// Rows selected.
  var count: Int { slices.reduce(0) { $0 + $1.count * $1.repeats } }

  /// Tells matrices of one tensor apart.
  var suffix: String {
    slices.map { "[\($0.start)+\($0.count)/\($0.period)x\($0.repeats)]" }.joined()
  }
}

extension ModelDescription.MatrixStack {
  /// Rows of each matrix as the kernels hold them: whole panels, so that each can be used alone.
  var paddedOutputs: Int { (outputs + 15) / 16 * 16 }

  /// All of them, one after the other.
  var matrix: MatrixRequirement {
    let zeros = paddedOutputs - outputs
    let stored = isTransposed ? [inputs, outputs] : [outputs, inputs]
    switch storage {
    case .separate(let prefix, let suffix, let scales):
      let pieces = (0..<count).map { index in
        let name = "\(prefix)\(index)\(suffix)"
        let tensor = TensorRequirement(name: name, shape: stored)
        return MatrixRequirement.Piece(
          tensor: tensor, scales: scales.map { scalesRequirement(name + $0, of: tensor) },
          rows: 0..<stored[0], isTransposed: isTransposed, zeros: zeros)
      }
      return MatrixRequirement(name: "\(prefix)*\(suffix)", inputs: inputs, pieces: pieces)
    case .stacked(let weight, let scales, let shape, let start, let period):
      let tensor = TensorRequirement(name: weight, shape: shape)
      let scales = scales.map { scalesRequirement($0, of: tensor) }
      let pieces = (0..<count).map { index in
        let first = start + index * period
        return MatrixRequirement.Piece(
          tensor: tensor, scales: scales, rows: first..<first + stored[0],
          isTransposed: isTransposed, zeros: zeros)
      }
      return MatrixRequirement(
        name: "\(weight)[\(start)+\(stored[0])/\(period)]" + (isTransposed ? "T" : ""),
        inputs: inputs, pieces: pieces)
    }
  }
}
