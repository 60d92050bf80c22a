import Kernels

/// What the layers of a model's part keep of a sequence, and where.
package struct StatePlan: Sendable {
  /// Of layers with keys and values.
  package private(set) var cacheLayers: [CacheLayer] = []
  /// Of layers of linear attention.
  package private(set) var recurrent: [LinearAttentionShape] = []
  /// Layers before the part whose keys and values layers of the part read, ascending: they come
  /// with the activations.
  package private(set) var imported: [Int] = []
  /// Layers of the part or before it whose keys and values layers after the part read, ascending.
  package private(set) var exported: [Int] = []
  private var cacheIndexes: [Int: Int] = [:]
  private var recurrentIndexes: [Int: Int] = [:]

  init(_ description: ModelDescription, layers part: Range<Int>) {
    let consumers = description.layers.enumerated().compactMap { index, layer in
      layer.sharedLayer.map { (index: index, shared: $0) }
    }
    let readers = { (layer: Int, range: Range<Int>) in
      consumers.contains { $0.shared == layer && range.contains($0.index) }
    }
    let after = part.upperBound..<max(part.upperBound, description.layers.count)
    for (index, layer) in description.layers.enumerated() where index < part.upperBound {
      let isOutside = index < part.lowerBound
      let isReadAfter = readers(index, after)
      if isReadAfter { exported.append(index) }
      if isOutside, !readers(index, part), !isReadAfter { continue }
      if isOutside { imported.append(index) }
      switch layer.mixer {
      case .attention(let attention):
        if let owner = attention.sharedLayer {
          cacheIndexes[index] = cacheIndexes[owner]
        } else {
          cacheIndexes[index] = cacheLayers.count
          cacheLayers.append(attention.cacheLayer)
        }
      case .latent(let latent):
        cacheIndexes[index] = cacheLayers.count
        cacheLayers.append(latent.cacheLayer)
      case .linear(let linear):
        recurrentIndexes[index] = recurrent.count
        recurrent.append(linear.shape)
      }
    }
  }

  /// The index into `cacheLayers` of the keys and values that a layer keeps, or reads of another.
  func cacheIndex(of layer: Int) -> Int? { cacheIndexes[layer] }

  /// The index into `recurrent` of the state that a layer keeps.
  func recurrentIndex(of layer: Int) -> Int? { recurrentIndexes[layer] }

  /// Bytes that a sequence of `tokens` tokens needs.
  package func byteCount(tokens: Int, element: CacheElement) -> Int {
    KeyValueCache.byteCount(layers: cacheLayers, element: element, positions: tokens)
      + recurrent.reduce(0) { $0 + $1.stateBytes }
  }
}

extension ModelDescription.Layer {
  /// The layer whose keys and values this one reads; nil: its own.
  var sharedLayer: Int? {
    if case .attention(let attention) = mixer { return attention.sharedLayer }
    return nil
  }
}

extension ModelDescription.Attention {
  /// What the cache holds of a position.
  var cacheLayer: CacheLayer {
    CacheLayer(heads: keyValueHeads, keyDimension: keyDimension, valueDimension: valueDimension)
  }
}

extension ModelDescription {
  /// What all layers keep of a sequence.
  package var statePlan: StatePlan { StatePlan(self, layers: layers.indices) }

  /// Bytes of cache and state that a sequence of `tokens` tokens needs.
  package func cacheBytes(tokens: Int, element: CacheElement) -> Int {
    statePlan.byteCount(tokens: tokens, element: element)
  }
}
