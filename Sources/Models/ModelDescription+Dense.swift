import Kernels
import ModelFormats

/// Models of softmax attention and gated feed-forwards: those that fine-tuning knows.
extension ModelDescription {
  /// Checks that there is no mechanism whose gradient is not known; needs no weights.
  ///
  /// - Throws: `FormatError.unsupported` naming the first.
  package func requireDense() throws {
    for (index, layer) in layers.enumerated() {
      guard let what = layer.unknownToFineTuning else { continue }
      throw unknownToFineTuning("\(what), as in layer \(index)")
    }
  }

  func unknownToFineTuning(_ what: String) -> FormatError {
    FormatError(.unsupported, file: family, reason: "fine-tuning does not know \(what)")
  }

  /// Bytes that fine-tuning takes beside the weights as they are stored, about, without their being
  /// loaded: transposes of 8 bits or more, the adapter with gradients, moments and two layouts of
  /// each, and one sequence's activations.
  ///
  /// - Parameters:
  ///   - parameters: numbers of the adapter.
  ///   - weightBits: of the stored weights, a weight.
  ///   - longest: tokens of the longest sequence.
  package func trainingBytes(parameters: Int, weightBits: Int, longest: Int) -> Int {
    var (weights, widest, scratch) = (vocabularySize * hiddenSize, 0, 0)
    for layer in layers.indices {
      if case .attention(let attention) = layers[layer].mixer {
        scratch = max(
          scratch,
          Compute.attentionGradientBytes(
            tokens: longest, keyDimension: attention.keyDimension,
            valueDimension: attention.valueDimension))
      }
      let matrices = LinearKind.allCases.compactMap {
        linear(at: LinearSite(layer: layer, kind: $0))
      }
      weights += matrices.reduce(0) { $0 + $1.inputs * $1.outputs }
      widest = max(widest, matrices.reduce(0) { $0 + $1.outputs })
    }
    let transposes = weights * max(9, weightBits) / 8
    let row = 4 * (3 * widest + (18 + layers.count) * hiddenSize)
    // A few rows of logits, and the scratch of as many threads as most machines lend.
    return transposes + 32 * parameters + longest * row + 160 * vocabularySize + 8 * scratch
  }
}

extension ModelDescription.Layer {
  /// What of it has no known gradient; nil where everything has.
  fileprivate var unknownToFineTuning: String? {
    switch mixer {
    case .latent: return "latent attention"
    case .linear: return "linear attention"
    case .attention(let attention):
      if attention.gate != nil { return "gated attention" }
      if attention.sinks != nil { return "attention sinks" }
    }
    guard case .gated = feedForward else { return "experts" }
    return nil
  }
}
