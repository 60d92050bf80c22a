/// Adapters are held as transformers orders a model's rows. Some files order them otherwise: GGUF's
/// Llama models have the two numbers of a rotated pair side by side.
extension ModelDescription {
  /// The matrix of a site; nil where the model has no such.
  package func linear(at site: LinearSite) -> Linear? {
    guard layers.indices.contains(site.layer) else { return nil }
    let layer = layers[site.layer]
    if case .attention(let attention) = layer.mixer {
      switch site.kind {
      case .query: return attention.query
      case .key: return attention.key
      case .value: return attention.value
      case .output: return attention.output
      case .gate, .up, .down: break
      }
    }
    if case .gated(let gated) = layer.feedForward {
      switch site.kind {
      case .gate: return gated.gate
      case .up: return gated.up
      case .down: return gated.down
      case .query, .key, .value, .output: break
      }
    }
    return nil
  }

  /// For each output of the model's matrix, the one that it is to transformers; nil where they are
  /// in the same order.
  func transformersRows(at site: LinearSite) -> [Int]? {
    guard layers.indices.contains(site.layer),
      case .attention(let attention) = layers[site.layer].mixer, let index = attention.rope,
      ropes.indices.contains(index), ropes[index].style == .interleaved,
      let matrix = linear(at: site), site.kind == .query || site.kind == .key
    else { return nil }
    let (dimension, rotated) = (attention.keyDimension, ropes[index].pairs * 2)
    return (0..<matrix.outputs).map { row in
      let within = row % dimension
      guard within < rotated else { return row }
      return row - within + within / 2 + (within % 2) * (rotated / 2)
    }
  }
}

extension Adapter {
  /// The adapter with the outputs of its matrices in the order of a model's.
  package func ordered(for description: ModelDescription) -> Adapter {
    reordered(description) { rows, b, rank in
      rows.flatMap { b[$0 * rank..<($0 + 1) * rank] }
    }
  }

  /// The adapter with the outputs of its matrices in transformers' order, from a model's.
  package func orderedForTransformers(from description: ModelDescription) -> Adapter {
    reordered(description) { rows, b, rank in
      var result = [Float](repeating: 0, count: b.count)
      for (row, target) in rows.enumerated() {
        for index in 0..<rank { result[target * rank + index] = b[row * rank + index] }
      }
      return result
    }
  }

  private func reordered(
    _ description: ModelDescription, _ order: ([Int], [Float], Int) -> [Float]
  ) -> Adapter {
    var adapter = self
    for (site, pair) in pairs {
      guard let rows = description.transformersRows(at: site), rows.count == pair.outputs else {
        continue
      }
      adapter.pairs[site]?.b = order(rows, pair.b, pair.rank)
    }
    return adapter
  }
}
