import ModelFormats

extension ModelDescription {
  /// Bounds that keep every product of sizes far from overflow.
  package enum Limit {
    /// V.
    package static let vocabulary = 1 << 24
    /// D and F.
    package static let hidden = 1 << 20
    /// Layers.
    package static let layers = 1 << 12
    /// H.
    package static let heads = 1 << 12
    /// E.
    package static let headDimension = 1 << 12
    /// Positions; angles of rotations stay below 2^24.
    package static let context = 1 << 24
    /// Experts of a layer.
    package static let experts = 1 << 14
    /// Positions that a convolution spans.
    package static let taps = 1 << 8
    /// Elements of a tensor.
    package static let elements = 1 << 44
    /// Rows that are selected from a matrix in one go.
    package static let slices = 1 << 12
    /// Experts and heads of all layers that have matrices of their own.
    package static let stacked = 1 << 20
  }

  /// Checks that the description is consistent and within `Limit`; a description from a file or
  /// from the network is not used before this has passed.
  ///
  /// - Parameter file: what errors call the description's origin.
  /// - Throws: `FormatError`, `limitExceeded` or `malformed`.
  package func validate(file: String) throws {
    let check = DescriptionCheck(file: file)
    try check.size("vocabulary size", vocabularySize, Limit.vocabulary)
    try check.size("hidden size", hiddenSize, Limit.hidden)
    try check.size("context length", contextLength, Limit.context)
    try check.size("number of layers", layers.count, Limit.layers)
    try check.that(
      endOfSequenceIds.allSatisfy { $0 >= 0 && $0 < vocabularySize },
      "an end-of-sequence id is outside the vocabulary")
    for rope in ropes { try check.rope(rope) }
    try check.embedding(embedding, self)
    for (index, layer) in layers.enumerated() {
      try check.layer(layer, index: index, model: self)
    }
    try check.norm(finalNorm, size: hiddenSize, "final norm")
    try check.linear(output, inputs: hiddenSize, outputs: vocabularySize, "output")
    if let logitCap { try check.positive("logit cap", logitCap) }
    let stacked = layers.reduce(0) { $0 + $1.stackedMatrices }
    try check.that(stacked <= Limit.stacked, "there are \(stacked) experts and heads")
    try check.consistentShapes(self)
  }
}

/// The rules of `validate`, with the name that errors carry.
struct DescriptionCheck {
  let file: String

  /// - Parameter reason: is put together only where the condition does not hold: there are many
  ///   tensors.
  func that(_ condition: Bool, _ reason: @autoclosure () -> String) throws {
    guard condition else { throw FormatError(.malformed, file: file, reason: reason()) }
  }

  func size(_ what: String, _ value: Int, _ limit: Int) throws {
    guard value >= 1, value <= limit else {
      throw FormatError(
        .limitExceeded, file: file, reason: "the \(what) is \(value), must be from 1 to \(limit)")
    }
  }

  func rope(_ rope: ModelDescription.Rope) throws {
    try size("rope dimension", rope.dimensions, ModelDescription.Limit.headDimension)
    // Frequencies of at most 1 keep angles below the greatest position.
    try that(
      rope.base.isFinite && rope.base >= 1 && rope.base <= 1e30,
      "the rope base \(rope.base) is not from 1 to 1e30")
    switch rope.scaling {
    case .none, .tensor: break
    case .yarn(let factor, let fast, let slow, let original, _):
      try positive("rope factor", factor)
      try positive("beta_fast", fast)
      try positive("beta_slow", slow)
      try positive("original context length", original)
      try that(rope.base > 1, "the rope base is 1")
    case .proportional(let rotated, let factor):
      try positive("rope factor", factor)
      try that(
        rotated >= 0 && rotated <= rope.pairs, "\(rotated) rotated pairs are too many")
    case .linear(let factor): try positive("rope factor", factor)
    case .llama3(let factor, let low, let high, let original):
      try positive("rope factor", factor)
      try positive("low frequency factor", low)
      try positive("high frequency factor", high)
      try positive("original context length", original)
      try that(high > low, "the high frequency factor does not exceed the low one")
    }
    if let factor = rope.attentionFactor { try positive("attention factor", factor) }
  }

  func positive(_ what: String, _ value: Double) throws {
    try that(
      value.isFinite && value >= 1e-3 && value <= 1e9, "the \(what) \(value) is out of range")
  }

  func embedding(_ embedding: ModelDescription.Embedding, _ model: ModelDescription) throws {
    if let multiplier = embedding.multiplier {
      try finite("the embedding multiplier", multiplier)
    }
    guard let perLayer = embedding.perLayer else {
      return try that(
        model.layers.allSatisfy { $0.perLayerInput == nil }, "a layer lacks its per-layer input")
    }
    let (size, layers) = (perLayer.size, model.layers.count)
    try self.size("per-layer input size", size, ModelDescription.Limit.hidden)
    try self.size("per-layer vocabulary size", perLayer.rows, ModelDescription.Limit.vocabulary)
    for (what, factor) in [
      ("multiplier", perLayer.multiplier), ("projection scale", perLayer.projectionScale),
      ("scale", perLayer.scale),
    ] { try finite("the per-layer \(what)", factor) }
    try linear(
      perLayer.projection, inputs: model.hiddenSize, outputs: layers * size,
      "per-layer projection")
    try norm(perLayer.norm, size: size, "per-layer norm")
  }

  func layer(_ layer: ModelDescription.Layer, index: Int, model: ModelDescription) throws {
    let (place, hidden) = ("layer \(index)", model.hiddenSize)
    for (what, norm) in [
      ("mixer norm", layer.mixerNorm), ("mixer output norm", layer.mixerOutputNorm),
      ("feed-forward norm", layer.feedForwardNorm),
      ("feed-forward output norm", layer.feedForwardOutputNorm),
    ] { if let norm { try self.norm(norm, size: hidden, "\(place), \(what)") } }
    switch layer.mixer {
    case .attention(let attention): try self.attention(attention, place, index, model)
    case .latent(let latent): try self.latent(latent, place, model)
    case .linear(let linear): try self.linearAttention(linear, place, model)
    }
    switch layer.feedForward {
    case .gated(let gated): try self.gated(gated, hidden, place)
    case .experts(let experts): try self.experts(experts, hidden, place)
    case .both(let both):
      try gated(both.gated, hidden, place)
      try experts(both.experts, hidden, place)
      for norm in [
        both.gatedOutputNorm, both.routerNorm, both.expertsNorm, both.expertsOutputNorm,
      ] { try self.norm(norm, size: hidden, "\(place), a norm beside the experts") }
    }
    guard let input = layer.perLayerInput else { return }
    guard let size = model.embedding.perLayer?.size else {
      throw FormatError(
        .malformed, file: file, reason: "\(place): the model has no per-layer inputs")
    }
    try linear(input.gate, inputs: hidden, outputs: size, "\(place), per-layer gate")
    try linear(input.projection, inputs: size, outputs: hidden, "\(place), per-layer projection")
    try norm(input.norm, size: hidden, "\(place), per-layer norm")
  }

  func gated(
    _ gated: ModelDescription.GatedFeedForward, _ hidden: Int, _ place: String
  ) throws {
    let width = gated.gate.outputs
    try size("feed-forward size of \(place)", width, ModelDescription.Limit.hidden)
    try linear(gated.gate, inputs: hidden, outputs: width, "\(place), gate")
    try linear(gated.up, inputs: hidden, outputs: width, "\(place), up")
    try linear(gated.down, inputs: width, outputs: hidden, "\(place), down")
  }

  func experts(
    _ experts: ModelDescription.Experts, _ hidden: Int, _ place: String
  ) throws {
    let width = experts.gate.outputs
    try size("number of experts of \(place)", experts.count, ModelDescription.Limit.experts)
    try size("number of chosen experts of \(place)", experts.chosen, experts.count)
    try size("expert size of \(place)", width, ModelDescription.Limit.hidden)
    try linear(experts.router, inputs: hidden, outputs: experts.count, "\(place), router")
    for (what, matrices, outputs, inputs) in [
      ("expert gates", experts.gate, width, hidden), ("expert ups", experts.up, width, hidden),
      ("expert downs", experts.down, hidden, width),
    ] { try stack(matrices, experts.count, outputs, inputs, "\(place), \(what)") }
    if let shared = experts.shared { try gated(shared, hidden, "\(place), shared expert") }
    if let gate = experts.sharedGate {
      try that(experts.shared != nil, "\(place): there is no shared expert to gate")
      try linear(gate, inputs: hidden, outputs: 1, "\(place), shared expert's gate")
    }
    let routing = experts.routing
    for (what, factor) in [
      ("normalisation epsilon", routing.normalisationEpsilon), ("scale", routing.scale),
    ] { if let factor { try finite("\(place): the routing \(what)", factor) } }
    guard let groups = routing.groups else { return }
    try size("number of expert groups of \(place)", groups.count, experts.count)
    try size("number of chosen groups of \(place)", groups.chosen, groups.count)
    let each = experts.count / groups.count
    try that(
      experts.count % groups.count == 0,
      "\(place): \(experts.count) experts are not a multiple of \(groups.count) groups")
    try that(
      experts.chosen <= groups.chosen * each,
      "\(place): \(groups.chosen) groups have fewer than \(experts.chosen) experts")
    try that(
      groups.measure == .greatest || each >= 2, "\(place): groups have fewer than two experts")
  }

  func stack(
    _ stack: ModelDescription.MatrixStack, _ count: Int, _ outputs: Int, _ inputs: Int,
    _ place: String
  ) throws {
    try that(
      stack.count == count && stack.outputs == outputs && stack.inputs == inputs,
      "\(place) are \(stack.count) x [\(stack.outputs), \(stack.inputs)], must be "
        + "\(count) x [\(outputs), \(inputs)]")
    guard case .stacked(_, let scales, let shape, let start, let period) = stack.storage else {
      return
    }
    let columns = stack.isTransposed ? outputs : inputs
    let each = stack.isTransposed ? inputs : outputs
    try that(
      shape.count >= 2 && shape.allSatisfy { $0 >= 1 } && shape.last == columns
        && (ElementType.elementCount(shape: shape) ?? .max) <= ModelDescription.Limit.elements,
      "\(place): the shape \(shape) is impossible")
    let rows = shape.dropLast().reduce(1, *)
    try that(
      start >= 0 && start <= rows && period >= 0 && period <= rows
        && start + (count - 1) * period + each <= rows,
      "\(place): the stored matrix has \(rows) rows")
    try that(
      scales == nil || shape.count == 2, "\(place): scales of more than two dimensions")
  }

  func finite(_ what: String, _ value: Double) throws {
    try that(value.isFinite && abs(value) <= 1e9, "\(what) is out of range")
  }

  func norm(_ norm: ModelDescription.Norm, size: Int, _ place: String) throws {
    try that(norm.size == size, "\(place) has \(norm.size) weights, must have \(size)")
    try that(
      norm.epsilon.isFinite && norm.epsilon >= 0 && norm.epsilon <= 1,
      "\(place): the epsilon \(norm.epsilon) is not from 0 to 1")
    if let offset = norm.offset { try finite("\(place): the offset", offset) }
    if let scale = norm.scale { try finite("\(place): the scale", scale) }
  }

  func linear(
    _ linear: ModelDescription.Linear, inputs: Int, outputs: Int, _ place: String
  ) throws {
    try that(
      linear.inputs == inputs && linear.outputs == outputs,
      "\(place) is [\(linear.outputs), \(linear.inputs)], must be [\(outputs), \(inputs)]")
    if let period = linear.scalesPeriod {
      try that(
        period >= 1 && period <= linear.rows?.of ?? outputs && linear.scales != nil,
        "\(place) has scales that begin anew every \(period) rows")
    }
    guard let rows = linear.rows else { return }
    try that(
      rows.of >= 1 && rows.of <= ModelDescription.Limit.elements / max(1, inputs)
        && rows.slices.count <= 8
        && rows.slices.allSatisfy { slice in
          slice.start >= 0 && slice.count >= 1 && slice.repeats >= 1 && slice.period >= 0
            && max(slice.start, slice.count, slice.period) <= rows.of
            && slice.repeats <= ModelDescription.Limit.slices
            && slice.start + (slice.repeats - 1) * slice.period + slice.count <= rows.of
        }, "\(place) selects rows that are not there")
    try that(rows.count == outputs, "\(place) selects \(rows.count) rows, must be \(outputs)")
  }

  /// One tensor cannot have two shapes.
  func consistentShapes(_ model: ModelDescription) throws {
    var shapes: [String: [Int]] = [:]
    let all = model.requirements
    let tensors = all.vectors + all.matrices.flatMap { $0.pieces.map(\.tensor) }
      + model.output.matrix.pieces.map(\.tensor)
    for tensor in tensors {
      try that(
        shapes.updateValue(tensor.shape, forKey: tensor.name) ?? tensor.shape == tensor.shape,
        "tensor \(quoted(tensor.name)) is used with two shapes")
    }
  }
}

extension ModelDescription.Layer {
  /// Matrices of which the layer has one for each expert or head.
  fileprivate var stackedMatrices: Int {
    stacks.reduce(0) { $0 + min($1.count, ModelDescription.Limit.stacked) }
  }
}
