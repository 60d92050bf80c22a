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
    for (index, layer) in layers.enumerated() {
      try check.layer(layer, index: index, model: self)
    }
    try check.norm(finalNorm, size: hiddenSize, "final norm")
    try check.linear(output, inputs: hiddenSize, outputs: vocabularySize, "output")
    try check.consistentShapes(self)
  }
}

/// The rules of `validate`, with the name that errors carry.
private struct DescriptionCheck {
  let file: String

  func that(_ condition: Bool, _ reason: String) throws {
    guard condition else { throw FormatError(.malformed, file: file, reason: reason) }
  }

  func size(_ what: String, _ value: Int, _ limit: Int) throws {
    guard value >= 1, value <= limit else {
      throw FormatError(
        .limitExceeded, file: file, reason: "the \(what) is \(value), must be from 1 to \(limit)")
    }
  }

  func rope(_ rope: ModelDescription.Rope) throws {
    try size("rope dimension", rope.dimensions, ModelDescription.Limit.headDimension)
    try that(rope.dimensions % 2 == 0, "the rope dimension \(rope.dimensions) is odd")
    // Frequencies of at most 1 keep angles below the greatest position.
    try that(
      rope.base.isFinite && rope.base >= 1 && rope.base <= 1e30,
      "the rope base \(rope.base) is not from 1 to 1e30")
    switch rope.scaling {
    case .none, .tensor: break
    case .linear(let factor): try positive("rope factor", factor)
    case .llama3(let factor, let low, let high, let original):
      try positive("rope factor", factor)
      try positive("low frequency factor", low)
      try positive("high frequency factor", high)
      try positive("original context length", original)
      try that(high > low, "the high frequency factor does not exceed the low one")
    }
  }

  private func positive(_ what: String, _ value: Double) throws {
    try that(
      value.isFinite && value >= 1e-3 && value <= 1e9, "the \(what) \(value) is out of range")
  }

  func layer(_ layer: ModelDescription.Layer, index: Int, model: ModelDescription) throws {
    let place = "layer \(index)"
    try norm(layer.mixerNorm, size: model.hiddenSize, "\(place), mixer norm")
    try norm(layer.feedForwardNorm, size: model.hiddenSize, "\(place), feed-forward norm")
    switch layer.mixer {
    case .attention(let attention): try self.attention(attention, place, model)
    }
    switch layer.feedForward {
    case .gated(let gated):
      let width = gated.gate.outputs
      try size("feed-forward size of \(place)", width, ModelDescription.Limit.hidden)
      try linear(gated.gate, inputs: model.hiddenSize, outputs: width, "\(place), gate")
      try linear(gated.up, inputs: model.hiddenSize, outputs: width, "\(place), up")
      try linear(gated.down, inputs: width, outputs: model.hiddenSize, "\(place), down")
    }
  }

  private func attention(
    _ attention: ModelDescription.Attention, _ place: String, _ model: ModelDescription
  ) throws {
    let hidden = model.hiddenSize
    let (heads, keyValueHeads) = (attention.heads, attention.keyValueHeads)
    let (keys, values) = (attention.keyDimension, attention.valueDimension)
    try size("number of heads of \(place)", heads, ModelDescription.Limit.heads)
    try size("number of key/value heads of \(place)", keyValueHeads, heads)
    try size("key dimension of \(place)", keys, ModelDescription.Limit.headDimension)
    try size("value dimension of \(place)", values, ModelDescription.Limit.headDimension)
    try that(
      heads % keyValueHeads == 0,
      "\(place): \(heads) heads are not a multiple of \(keyValueHeads) key/value heads")
    try that(
      attention.scale.isFinite && abs(attention.scale) <= 1e9, "\(place): the scale is out of range"
    )
    if let window = attention.window {
      try size("window of \(place)", window, ModelDescription.Limit.context)
    }
    if let rope = attention.rope {
      try that(model.ropes.indices.contains(rope), "\(place) refers to rope \(rope)")
      try that(
        model.ropes[rope].dimensions <= keys, "\(place): the rope dimension exceeds the head's")
    }
    if let queryNorm = attention.queryNorm {
      try norm(queryNorm, size: keys, "\(place), query norm")
    }
    if let keyNorm = attention.keyNorm { try norm(keyNorm, size: keys, "\(place), key norm") }
    try linear(attention.query, inputs: hidden, outputs: heads * keys, "\(place), query")
    try linear(attention.key, inputs: hidden, outputs: keyValueHeads * keys, "\(place), key")
    try linear(attention.value, inputs: hidden, outputs: keyValueHeads * values, "\(place), value")
    try linear(attention.output, inputs: heads * values, outputs: hidden, "\(place), output")
  }

  func norm(_ norm: ModelDescription.Norm, size: Int, _ place: String) throws {
    try that(norm.size == size, "\(place) has \(norm.size) weights, must have \(size)")
    try that(
      norm.epsilon.isFinite && norm.epsilon >= 0 && norm.epsilon <= 1,
      "\(place): the epsilon \(norm.epsilon) is not from 0 to 1")
  }

  func linear(
    _ linear: ModelDescription.Linear, inputs: Int, outputs: Int, _ place: String
  ) throws {
    try that(
      linear.inputs == inputs && linear.outputs == outputs,
      "\(place) is [\(linear.outputs), \(linear.inputs)], must be [\(outputs), \(inputs)]")
  }

  /// One tensor cannot have two shapes.
  func consistentShapes(_ model: ModelDescription) throws {
    var shapes: [String: [Int]] = [:]
    let embedding = TensorRequirement(
      name: model.embedding.weight, shape: [model.vocabularySize, model.hiddenSize])
    let all = [embedding] + model.requiredTensors + model.output.requirements
    for tensor in all {
      try that(
        shapes.updateValue(tensor.shape, forKey: tensor.name) ?? tensor.shape == tensor.shape,
        "tensor \(quoted(tensor.name)) is used with two shapes")
    }
  }
}
