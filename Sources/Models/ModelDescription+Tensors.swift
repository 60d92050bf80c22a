/// A tensor that a description needs.
package struct TensorRequirement: Hashable, Sendable {
  /// The name in the source.
  package let name: String
  /// Outermost dimension first.
  package let shape: [Int]

  /// See the properties.
  package init(name: String, shape: [Int]) {
    self.name = name
    self.shape = shape
  }
}

extension ModelDescription {
  /// Every tensor that the model is computed from, each once, in the order of use.
  package var requiredTensors: [TensorRequirement] {
    var all = [TensorRequirement(name: embedding.weight, shape: [vocabularySize, hiddenSize])]
    for rope in ropes {
      if case .tensor(let name) = rope.scaling {
        all.append(TensorRequirement(name: name, shape: [rope.dimensions / 2]))
      }
    }
    for layer in layers {
      all += layer.norms.map(\.requirement) + layer.linears.flatMap(\.requirements)
    }
    all.append(finalNorm.requirement)
    all += output.requirements
    var seen: Set<String> = []
    return all.filter { seen.insert($0.name).inserted }
  }
}

extension ModelDescription.Layer {
  /// All matrices of the layer.
  var linears: [ModelDescription.Linear] {
    switch mixer {
    case .attention(let attention):
      [attention.query, attention.key, attention.value, attention.output] + feedForward.linears
    }
  }

  /// All norms of the layer.
  var norms: [ModelDescription.Norm] {
    switch mixer {
    case .attention(let attention):
      [mixerNorm, feedForwardNorm] + [attention.queryNorm, attention.keyNorm].compactMap { $0 }
    }
  }
}

extension ModelDescription.FeedForward {
  var linears: [ModelDescription.Linear] {
    switch self {
    case .gated(let gated): [gated.gate, gated.up, gated.down]
    }
  }
}

extension ModelDescription.Norm {
  var requirement: TensorRequirement { TensorRequirement(name: weight, shape: [size]) }
}

extension ModelDescription.Linear {
  var requirements: [TensorRequirement] {
    [TensorRequirement(name: weight, shape: [outputs, inputs])]
      + (bias.map { [TensorRequirement(name: $0, shape: [outputs])] } ?? [])
  }
}
