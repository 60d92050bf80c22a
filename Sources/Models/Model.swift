import Kernels
import ModelFormats

/// A model in memory, ready to be executed: the description and its weights, packed for the
/// kernels. Immutable, so that any number of executors can share it.
package final class Model: Sendable {
  /// How weights are held in memory.
  package struct LoadOptions: Sendable {
    /// The format of the matrices in memory.
    package enum Weights: Sendable {
      /// In the format of the source.
      case asStored
      /// As float32, so that the arithmetic is float32 throughout: four bytes an element.
      case float32
    }

    /// The format of the matrices in memory.
    package var weights: Weights

    /// See the properties.
    package init(weights: Weights = .asStored) {
      self.weights = weights
    }
  }

  /// What was loaded.
  package let description: ModelDescription
  /// What each layer keeps in a key/value cache.
  package let cacheLayers: [CacheLayer]
  /// Of each of the description's ropes, one value per pair of components.
  let inverseFrequencies: [[Float]]
  let embedding: PackedWeights
  let layers: [LayerBlock]
  let finalNorm: RowNorm
  let output: LinearBlock

  /// Loads the weights that `description` requires; each tensor is streamed, so that memory peaks
  /// little above the weights themselves.
  ///
  /// - Throws: `FormatError` for a description or tensors that do not fit;
  ///   `KernelError.outOfResources`.
  package convenience init(
    _ description: ModelDescription, from source: any TensorSource,
    options: LoadOptions = LoadOptions()
  ) throws {
    try self.init(description, WeightLoader(source: source, options: options))
  }

  /// Uses the packed weights in the file at `place`, mapped; writes that file first where there is
  /// none that serves. A file that cannot be written is no error: then weights are in memory.
  ///
  /// - Parameter source: is read only if the file has to be written; its tensors are those that the
  ///   place's key stands for.
  /// - Throws: as `init(_:from:options:)`.
  package convenience init(
    _ description: ModelDescription, packedAt place: PackedModelPlace,
    from source: any TensorSource, options: LoadOptions = LoadOptions()
  ) throws {
    try description.validate(file: source.name)
    var loader = WeightLoader(source: source, options: options)
    loader.packed = try PackedModelFile.openOrWrite(place, description, loader)
    try self.init(description, loader)
  }

  private init(_ description: ModelDescription, _ loader: WeightLoader) throws {
    try description.validate(file: loader.source.name)
    self.description = description
    embedding = try loader.matrix(
      TensorRequirement(
        name: description.embedding.weight,
        shape: [description.vocabularySize, description.hiddenSize]))
    inverseFrequencies = try description.ropes.map {
      try RopeFrequencies(loader: loader, contextLength: description.contextLength).values($0)
    }
    layers = try description.layers.map {
      try LayerBlock($0, ropes: description.ropes, loader)
    }
    finalNorm = try RowNorm(description.finalNorm, loader)
    output = try LinearBlock(
      description.output, loader,
      shared: description.hasTiedEmbeddings ? embedding : nil)
    cacheLayers = description.cacheLayers
  }

  /// Opens and loads a GGUF file or Hugging Face folder.
  ///
  /// - Throws: `FormatError`; `KernelError.outOfResources`.
  package convenience init(path: String, options: LoadOptions = LoadOptions()) throws {
    let files = try ModelFiles(path: path)
    try self.init(files.description, from: files.source, options: options)
  }

  /// Bytes of the packed matrices.
  package var weightBytes: Int {
    let own = embedding.byteCount + layers.reduce(0) { $0 + $1.byteCount }
    return description.hasTiedEmbeddings ? own : own + output.byteCount
  }

  /// Bytes of the packed matrices that every token goes through; an embedding table that is not
  /// also the output matrix is not one of them.
  package var bytesPerStep: Int { layers.reduce(output.byteCount) { $0 + $1.byteCount } }

  /// An empty sequence of this model.
  ///
  /// - Parameter cache: how its keys and values are stored.
  package func makeSequence(cache: CacheElement) -> SequenceState {
    SequenceState(cache: KeyValueCache(layers: cacheLayers, element: cache))
  }
}

extension ModelDescription {
  /// What each layer keeps in a key/value cache.
  package var cacheLayers: [CacheLayer] {
    layers.map { layer in
      switch layer.mixer {
      case .attention(let attention):
        CacheLayer(
          heads: attention.keyValueHeads, keyDimension: attention.keyDimension,
          valueDimension: attention.valueDimension)
      }
    }
  }

  /// Bytes of cache that a sequence of `tokens` tokens needs.
  package func cacheBytes(tokens: Int, element: CacheElement) -> Int {
    KeyValueCache.byteCount(layers: cacheLayers, element: element, positions: tokens)
  }
}
