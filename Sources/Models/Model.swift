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

    package init(weights: Weights = .asStored) {
      self.weights = weights
    }
  }

  /// What was loaded.
  package let description: ModelDescription
  /// Which of it.
  package let part: ModelPart
  /// Whether the weights are in a mapped file, which the system may drop from memory at any time.
  package let isMapped: Bool
  /// What the layers keep of a sequence.
  package let statePlan: StatePlan
  /// Of each of the description's ropes, one value per pair of components.
  let inverseFrequencies: [[Float]]
  let embedding: PackedWeights?
  let perLayerEmbedding: PerLayerEmbeddingBlock?
  /// Of the part.
  let layers: [LayerBlock]
  let head: HeadBlock?

  /// Loads the weights that `description` requires; each tensor is streamed, so that memory peaks
  /// little above the weights themselves.
  ///
  /// - Throws: `FormatError` for a description or tensors that do not fit;
  ///   `KernelError.outOfResources`.
  package convenience init(
    _ description: ModelDescription, from source: any TensorSource,
    options: LoadOptions = LoadOptions()
  ) throws {
    try self.init(description, nil, WeightLoader(source: source, options: options))
  }

  /// Loads a part of a model: nothing else is read from `source`.
  ///
  /// - Throws: as `init(_:from:options:)`; `FormatError` for layers that the model lacks.
  package convenience init(
    _ part: ModelPart, of description: ModelDescription, from source: any TensorSource,
    options: LoadOptions = LoadOptions()
  ) throws {
    try part.check(description, file: source.name)
    try self.init(description, part, WeightLoader(source: source, options: options))
  }

  /// Uses the packed weights in the file at `place`, mapped; writes that file first where there is
  /// none that serves. A file that cannot be written is no error: then weights are in memory.
  ///
  /// - Parameters:
  ///   - part: of the model; nil: all of it. The place's key is of this part alone.
  ///   - source: is read only if the file has to be written; its tensors are those that the place's
  ///     key stands for.
  /// - Throws: as `init(_:from:options:)`; `FormatError` for layers that the model lacks.
  package convenience init(
    _ description: ModelDescription, part: ModelPart? = nil, packedAt place: PackedModelPlace,
    from source: any TensorSource, options: LoadOptions = LoadOptions()
  ) throws {
    try description.validate(file: source.name)
    try part?.check(description, file: source.name)
    var loader = WeightLoader(source: source, options: options)
    loader.packed = try PackedModelFile.openOrWrite(
      place, description.requirements(of: part ?? .whole(of: description)), loader)
    try self.init(description, part, loader)
  }

  /// - Parameter part: nil: all of it.
  private init(
    _ description: ModelDescription, _ part: ModelPart?, _ loader: WeightLoader
  ) throws {
    try description.validate(file: loader.source.name)
    let part = part ?? .whole(of: description)
    let plan = StatePlan(description, layers: part.layers)
    (self.description, self.part, statePlan) = (description, part, plan)
    isMapped = loader.packed != nil
    let embedding = try part.hasEmbedding
      ? loader.matrix(description.embedding.matrix(description)) : nil
    self.embedding = embedding
    perLayerEmbedding = try part.hasEmbedding
      ? description.embedding.perLayer.map {
        try PerLayerEmbeddingBlock($0, layers: description.layers.count, loader)
      } : nil
    inverseFrequencies = try description.ropes.map {
      try RopeFrequencies(loader: loader, contextLength: description.contextLength).values($0)
    }
    // Any variant gives the same bits.
    let compute = Compute(
      kernels: try KernelSet.best(environment: [:]), pool: try ThreadPool(threads: 1))
    layers = try part.layers.map {
      try LayerBlock($0, of: description, plan, loader, compute)
    }
    head =
      try part.hasHead
      ? HeadBlock(description, shared: description.hasTiedEmbeddings ? embedding : nil, loader)
      : nil
  }

  /// Another model with other layers and all else shared.
  init(_ other: Model, layers change: (Int, LayerBlock) throws -> LayerBlock) rethrows {
    (description, part, statePlan) = (other.description, other.part, other.statePlan)
    isMapped = other.isMapped
    inverseFrequencies = other.inverseFrequencies
    (embedding, perLayerEmbedding) = (other.embedding, other.perLayerEmbedding)
    layers = try other.layers.map { try change($0.index, $0) }
    head = other.head
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
    let own = (embedding?.byteCount ?? 0) + (perLayerEmbedding?.byteCount ?? 0)
      + layers.reduce(0) { $0 + $1.byteCount }
    let isShared = description.hasTiedEmbeddings && embedding != nil
    return isShared ? own : own + (head?.byteCount ?? 0)
  }

  /// Bytes of the packed matrices that every token goes through; an embedding table that is not
  /// also the output matrix is not one of them, and of experts those that a token goes through.
  package var bytesPerStep: Int {
    layers.reduce(head?.byteCount ?? 0) { $0 + $1.bytesPerToken }
  }

  /// An empty sequence of this model.
  ///
  /// - Parameter cache: how its keys and values are stored.
  package func makeSequence(cache: CacheElement) -> SequenceState {
    SequenceState(statePlan, element: cache)
  }
}

/// The final norm, the output matrix, and the limit of logits.
struct HeadBlock: Sendable {
  let norm: RowNorm
  let output: LinearBlock
  let cap: Float?

  /// - Parameter shared: the output matrix if it is loaded already.
  init(_ description: ModelDescription, shared: PackedWeights?, _ loader: WeightLoader) throws {
    norm = try RowNorm(description.finalNorm, loader)
    output = try LinearBlock(description.output, loader, shared: shared)
    cap = description.logitCap.map { Float($0) }
  }

  var byteCount: Int { output.byteCount }

  /// logits[rows, V] from x[rows, D].
  func run(_ x: Tensor, into logits: Tensor, _ context: StepContext) throws {
    try LinearBlock.run(x, prepared: .norm(norm), [output], into: [logits], context)
    if let cap { context.compute.softCap(logits, at: cap) }
  }
}
