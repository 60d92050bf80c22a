import ModelFormats

/// The rules of what works across positions.
extension DescriptionCheck {
  func attention(
    _ attention: ModelDescription.Attention, _ place: String, _ index: Int,
    _ model: ModelDescription
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
    try finite("\(place): the scale", attention.scale)
    if let window = attention.window {
      try size("window of \(place)", window, ModelDescription.Limit.context)
    }
    if let cap = attention.cap { try positive("attention cap of \(place)", cap) }
    if let scale = attention.valueScale { try finite("\(place): the value scale", scale) }
    if let growth = attention.queryGrowth {
      try finite("\(place): the query growth", growth.beta)
      try positive("query growth length of \(place)", growth.length)
    }
    if let rope = attention.rope { try self.rope(rope, within: keys, place, model) }
    for (what, norm, size) in [
      ("query norm", attention.queryNorm, keys), ("key norm", attention.keyNorm, keys),
      ("value norm", attention.valueNorm, values),
    ] { if let norm { try self.norm(norm, size: size, "\(place), \(what)") } }
    try linear(attention.query, inputs: hidden, outputs: heads * keys, "\(place), query")
    try linear(attention.output, inputs: heads * values, outputs: hidden, "\(place), output")
    if let gate = attention.gate {
      try linear(gate, inputs: hidden, outputs: heads * values, "\(place), attention gate")
    }
    guard let shared = attention.sharedLayer else {
      guard let key = attention.key else {
        throw FormatError(.malformed, file: file, reason: "\(place) has no keys")
      }
      try linear(key, inputs: hidden, outputs: keyValueHeads * keys, "\(place), key")
      if let value = attention.value {
        try linear(value, inputs: hidden, outputs: keyValueHeads * values, "\(place), value")
      } else {
        try that(keys == values, "\(place): values are keys of another dimension")
      }
      return
    }
    try that(
      attention.key == nil && attention.value == nil,
      "\(place) has keys and values of its own and another layer's")
    guard shared >= 0, shared < index, case .attention(let other) = model.layers[shared].mixer,
      other.sharedLayer == nil, other.keyValueHeads == keyValueHeads, other.keyDimension == keys,
      other.valueDimension == values
    else {
      throw FormatError(
        .malformed, file: file, reason: "\(place) cannot share the keys of layer \(shared)")
    }
  }

  private func rope(
    _ index: Int, within dimension: Int, _ place: String, _ model: ModelDescription
  ) throws {
    try that(model.ropes.indices.contains(index), "\(place) refers to rope \(index)")
    try that(
      2 * model.ropes[index].pairs <= dimension,
      "\(place): the rope dimension exceeds the head's")
  }

  func latent(
    _ latent: ModelDescription.LatentAttention, _ place: String, _ model: ModelDescription
  ) throws {
    let (hidden, heads) = (model.hiddenSize, latent.heads)
    try size("number of heads of \(place)", heads, ModelDescription.Limit.heads)
    for (what, value) in [
      ("plain", latent.plainDimension), ("rotated", latent.ropeDimension),
      ("value", latent.valueDimension),
    ] {
      try size("\(what) dimension of \(place)", value, ModelDescription.Limit.headDimension)
    }
    let rank = latent.latentDimension
    try size("latent dimension of \(place)", rank, ModelDescription.Limit.headDimension)
    try finite("\(place): the scale", latent.scale)
    try rope(latent.rope, within: latent.ropeDimension, place, model)
    var inputs = hidden
    try that(
      (latent.queryDown == nil) == (latent.queryDownNorm == nil),
      "\(place): a query projection without its norm")
    if let down = latent.queryDown, let downNorm = latent.queryDownNorm {
      inputs = down.outputs
      try size("query rank of \(place)", inputs, ModelDescription.Limit.hidden)
      try linear(down, inputs: hidden, outputs: inputs, "\(place), query down")
      try norm(downNorm, size: inputs, "\(place), query norm")
    }
    for (what, matrix, outputs) in [
      ("query", latent.query, heads * latent.plainDimension),
      ("rotated query", latent.queryRope, heads * latent.ropeDimension),
    ] { try linear(matrix, inputs: inputs, outputs: outputs, "\(place), \(what)") }
    try linear(latent.latent, inputs: hidden, outputs: rank, "\(place), latent")
    try norm(latent.latentNorm, size: rank, "\(place), latent norm")
    try linear(
      latent.keyRope, inputs: hidden, outputs: latent.ropeDimension, "\(place), rotated key")
    try stack(latent.absorbedKey, heads, rank, latent.plainDimension, "\(place), absorbed keys")
    try stack(
      latent.absorbedValue, heads, latent.valueDimension, rank, "\(place), absorbed values")
    try linear(
      latent.output, inputs: heads * latent.valueDimension, outputs: hidden, "\(place), output")
  }

  func linearAttention(
    _ linear: ModelDescription.LinearAttention, _ place: String, _ model: ModelDescription
  ) throws {
    let hidden = model.hiddenSize
    try size("number of value heads of \(place)", linear.valueHeads, ModelDescription.Limit.heads)
    try size("number of key heads of \(place)", linear.keyHeads, linear.valueHeads)
    try that(
      linear.valueHeads % linear.keyHeads == 0,
      "\(place): \(linear.valueHeads) value heads are not a multiple of "
        + "\(linear.keyHeads) key heads")
    for (what, value) in [("key", linear.keyDimension), ("value", linear.valueDimension)] {
      try size("\(what) dimension of \(place)", value, ModelDescription.Limit.headDimension)
    }
    try size("convolution of \(place)", linear.taps, ModelDescription.Limit.taps)
    let (channels, values) = (linear.channels, linear.valueHeads * linear.valueDimension)
    let shapes = [[channels, 1, linear.taps], [channels, linear.taps]]
    try that(
      shapes.contains(linear.convolution.shape),
      "\(place): a convolution of shape \(linear.convolution.shape)")
    for (what, matrix, outputs) in [
      ("queries, keys and values", linear.mixed, channels),
      ("decay", linear.decay, linear.valueHeads), ("learning", linear.learning, linear.valueHeads),
      ("gate", linear.gate, values),
    ] { try self.linear(matrix, inputs: hidden, outputs: outputs, "\(place), \(what)") }
    try norm(linear.norm, size: linear.valueDimension, "\(place), norm of values")
    try self.linear(linear.output, inputs: values, outputs: hidden, "\(place), output")
  }
}
