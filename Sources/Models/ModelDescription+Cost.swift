extension ModelDescription {
  /// Floating-point operations of generating `generatedTokens` after a prompt of `promptTokens`;
  /// the measure of credit.
  ///
  /// With n = promptTokens + generatedTokens - 1 tokens fed (the last generated one is not; n =
  /// promptTokens when nothing is generated):
  /// - each fed token: 2 x the elements of the layers' matrices that it goes through: of experts,
  ///   those that are chosen and the shared one;
  /// - each fed token at position p: 2 H (Ek + Ev) min(p + 1, window) per attention layer, which is
  ///   4 H E (p + 1) where keys and values have the same dimension and there is no window; for
  ///   latent attention Ek is the rotated and the latent dimension, Ev the latent one;
  /// - each fed token: 8 H Ek Ev per layer of linear attention (decay, what is known, what changes,
  ///   what is read), and 2 x channels x taps;
  /// - each generated token: 2 D V for the output matrix.
  ///
  /// Norms, rotations, softmax and activations are not counted. Quantised matrices count as the
  /// float matrices they stand for. Negative arguments count as 0.
  package func flops(promptTokens: Int, generatedTokens: Int) -> Double {
    let prompt = max(0, promptTokens)
    let generated = max(0, generatedTokens)
    let fed = max(0, prompt + max(0, generated - 1))
    return Double(generated) * flopsOfLogits + flops(of: layers[...], tokens: fed)
  }

  /// Floating-point operations of a sequence of `tokens` tokens in a part of the model, with the
  /// logits of every position where it has the head; counted as above.
  package func flops(of part: ModelPart, tokens: Int) -> Double {
    (part.hasHead ? Double(tokens) * flopsOfLogits : 0)
      + flops(of: layers[part.layers], tokens: tokens)
  }

  private var flopsOfLogits: Double { 2 * Double(output.inputs) * Double(output.outputs) }

  private func flops(of layers: ArraySlice<Layer>, tokens fed: Int) -> Double {
    var total = 0.0
    for layer in layers {
      total += Double(fed) * 2 * layer.elementsPerToken
      switch layer.mixer {
      case .attention(let attention):
        let perKey =
          2 * Double(attention.heads)
          * Double(attention.keyDimension + attention.valueDimension)
        total += perKey * Self.keysSeen(tokens: fed, window: attention.window)
      case .latent(let latent):
        let perKey =
          2 * Double(latent.heads)
          * Double(latent.ropeDimension + 2 * latent.latentDimension)
        total += perKey * Self.keysSeen(tokens: fed, window: nil)
      case .linear(let linear):
        let state =
          Double(linear.valueHeads) * Double(linear.keyDimension) * Double(linear.valueDimension)
        total += Double(fed) * (8 * state + 2 * Double(linear.channels * linear.taps))
      }
    }
    return total
  }

  /// The sum over positions p < tokens of min(p + 1, window).
  private static func keysSeen(tokens: Int, window: Int?) -> Double {
    let growing = Double(min(tokens, window ?? tokens))
    let full = Double(tokens) - growing
    return growing * (growing + 1) / 2 + full * Double(window ?? 0)
  }

  /// Elements of all tensors, those that are used twice counted once.
  package var parameterCount: Int {
    requiredTensors.reduce(0) { $0 + $1.count }
  }
}

extension ModelDescription.Layer {
  /// Elements of the matrices that one token goes through.
  var elementsPerToken: Double {
    let own = linears.reduce(0.0) { $0 + Double($1.inputs) * Double($1.outputs) }
    let ofEach = stacks.reduce(0.0) { total, stack in
      let isExpert = feedForward.stacks.contains(stack)
      let used = isExpert ? feedForward.experts?.chosen ?? 0 : stack.count
      return total + Double(used) * Double(stack.inputs) * Double(stack.outputs)
    }
    return own + ofEach
  }
}
