import Execution
import FineTuning
import Foundation
import Kernels
import ModelFormats
import Models
import Synchronization
import WirePayloads
import WireProtocol

/// Computes units with the kernels of this machine. Keeps the model of the last unit in memory,
/// since the next unit is most often of the same.
package final class ModelUnitRunner: UnitRunning {
  private struct Loaded: Sendable {
    let manifest: Digest
    let part: UnitPart?
    let model: Model
    /// What adapters are trained over; made for the first unit that trains or validates one.
    var frozen: FrozenModel?
  }

  private let kernels: KernelSet
  private let loaded = Mutex<Loaded?>(nil)
  private let gate = ComputeGate()

  /// - Parameter environment: `TALLY_CPU` forces an instruction set.
  /// - Throws: `KernelError` for an instruction set that this machine cannot run.
  package init(environment: [String: String]) throws {
    kernels = try KernelSet.best(environment: environment)
  }

  /// Throws `FormatError` for what is no manifest, `UnitFailure.invalid` for a part that its model
  /// does not have.
  package func chunks(ofManifest manifest: Data, part: UnitPart?) throws -> [BlobReference] {
    let manifest = try ModelManifest(json: manifest, name: "manifest")
    let part = try ModelPart(part, of: manifest.description)
    return try manifest.distinctChunks(of: part).map { chunk in
      guard let digest = Digest(hex: chunk.sha256) else {
        throw UnitFailure.invalid("the manifest names a chunk by something that is no SHA-256")
      }
      return BlobReference(digest: digest, bytes: chunk.bytes)
    }
  }

  /// The packed file, named by its key.
  package func packedModel(
    ofManifest manifest: Data, digest: Digest, part: UnitPart?
  ) throws -> BlobReference? {
    let manifest = try ModelManifest(json: manifest, name: "manifest \(digest)")
    let source = Self.source(manifest, digest) { $0.hex }
    guard let name = Digest(hex: Self.packedKey(digest, part).hex) else { return nil }
    return BlobReference(
      digest: name,
      bytes: try PackedModelFile.largestByteCount(
        manifest.description, part: ModelPart(part, of: manifest.description), from: source))
  }

  /// The manifest's digest stands for every bit of the weights.
  private static func packedKey(_ manifest: Digest, _ part: UnitPart?) -> PackedModelKey {
    let whole = "manifest \(manifest.hex)"
    guard let part else { return PackedModelKey(content: whole) }
    let stages = "embedding \(part.embedding) head \(part.head)"
    return PackedModelKey(
      content: "\(whole)\nlayers \(part.firstLayer) to \(part.endLayer) \(stages)")
  }

  package func run(_ task: UnitTask) throws -> UnitOutcome {
    do {
      let kind = task.specification.kind
      // Transposes are of no use to units that do not learn, whose plans do not count them.
      if kind != .train, kind != .validate { loaded.withLock { $0?.frozen = nil } }
      switch kind {
      case .generate: return try generate(task)
      case .stageForward: return try runStage(task)
      case .train: return try train(task)
      case .validate: return try validate(task)
      }
    } catch {
      throw Self.failure(error)
    }
  }

  package func limit(_ limit: ComputeLimit) { gate.set(limit) }

  /// Forgets the last unit's model, which the next unit loads again.
  package func releaseMemory() { loaded.withLock { $0 = nil } }

  func compute(_ task: UnitTask) throws -> Compute {
    let pool = try ThreadPool(threads: max(1, task.threads)) { [gate] threads in
      gate.pass(threads: threads, isCancelled: task.isCancelled)
    }
    return Compute(kernels: kernels, pool: pool)
  }

  private func runStage(_ task: UnitTask) throws -> UnitOutcome {
    let specification = task.specification
    guard specification.profile == ProtocolVersion.numericsProfile else {
      throw ExecutionError.profileMismatch(specification.profile)
    }
    let inputs = try StageActivations(decoding: task.inputs)
    let model = try model(of: task)
    try MemoryPlan.checkStage(
      model, inputs: inputs, inputBytes: task.inputs.count,
      cache: CacheElement(specification.cache), limitBytes: task.memoryLimitBytes)
    let flops = inputs.sequences.reduce(0.0) { sum, tokens in
      sum + model.description.flops(of: model.part, tokens: tokens.count)
    }
    let stage = try StageExecutor(
      model, inputs: inputs, cache: specification.cache, compute: compute(task))
    let result = try stage.run(
      progress: task.progress(of: flops, tokens: inputs.tokenCount),
      isCancelled: task.isCancelled)
    let encoded =
      switch result {
      case .activations(let activations): try activations.encoded()
      case .scores(let scores): try scores.encoded()
      }
    return UnitOutcome(result: encoded, tokens: inputs.tokenCount, flops: flops)
  }

  private func generate(_ task: UnitTask) throws -> UnitOutcome {
    let inputs = try GenerateInputs(decoding: task.inputs)
    let vocabulary = try task.vocabulary.map { try VocabularyBytes(decoding: $0) }
    let base = try model(of: task)
    let model =
      try task.adapter.map {
        try base.adapted(by: Adapter(AdapterPayload(decoding: $0)))
      } ?? base
    let limits = try MemoryPlan.batchLimits(
      description: model.description, weightBytes: model.weightBytes, inputs: inputs,
      cache: CacheElement(task.specification.cache), limitBytes: task.memoryLimitBytes)
    let compute = try compute(task)
    let flopsPerToken = Self.flopsPerToken(inputs, model.description)
    let finished = Self.finished(task, inputs)
    let before = finished.reduce(0.0) { sum, entry in
      sum + Self.flops(inputs.sequences[entry.key], entry.value, model.description)
    }
    let result = try UnitExecutor.run(
      task.specification, inputs: inputs, vocabulary: vocabulary,
      model: ExecutorModel(model, compute: compute), compute: compute, limits: limits,
      finished: finished,
      progress: { task.progress(before + Double($0) * flopsPerToken) },
      isCancelled: task.isCancelled, sequenceFinished: task.sequenceFinished,
      tokensGenerated: task.tokensGenerated)
    let flops = zip(inputs.sequences, result.sequences).reduce(0.0) { sum, pair in
      sum + Self.flops(pair.0, pair.1, model.description)
    }
    return UnitOutcome(
      result: try result.encoded(),
      tokens: result.sequences.reduce(0) { $0 + $1.tokens.count }, flops: flops,
      resumedSequences: finished.count)
  }

  /// What is kept of interrupted runs. What cannot be of this unit is computed again.
  private static func finished(
    _ task: UnitTask, _ inputs: GenerateInputs
  ) -> [Int: GenerateResult.Sequence] {
    task.finishedBefore.reduce(into: [:]) { all, part in
      guard let sequences = try? part.decoded(for: inputs) else { return }
      all.merge(sequences) { first, _ in first }
    }
  }

  private static func flops(
    _ asked: GenerateInputs.Sequence, _ given: GenerateResult.Sequence,
    _ description: ModelDescription
  ) -> Double {
    description.flops(
      promptTokens: asked.promptTokens.count, generatedTokens: given.tokens.count)
  }

  /// What a token costs at the inputs' mean length, for progress only.
  private static func flopsPerToken(
    _ inputs: GenerateInputs, _ description: ModelDescription
  ) -> Double {
    let total = inputs.sequences.reduce(0) { $0 + $1.promptTokens.count + $1.maxTokens }
    let mean = max(1, min(description.contextLength, total / max(1, inputs.sequences.count)))
    return description.flops(promptTokens: mean, generatedTokens: 1) / Double(mean)
  }

  // MARK: Models

  /// The unit's model or part of one, loaded unless it is that of the last unit.
  func model(of task: UnitTask) throws -> Model {
    let (digest, unitPart) = (task.specification.model, task.specification.part)
    if let kept = loaded.withLock({ $0 }), kept.manifest == digest, kept.part == unitPart {
      return kept.model
    }
    // Two models at a time would need the memory of both.
    loaded.withLock { $0 = nil }
    let manifest = try ModelManifest(json: task.manifest, name: "manifest \(digest)")
    let part = try ModelPart(unitPart, of: manifest.description)
    let bytes = manifest.byteCount(of: part)
    guard bytes <= task.memoryLimitBytes else {
      throw UnitFailure.outOfMemory(
        "the model's \(bytes) bytes exceed the limit of \(task.memoryLimitBytes)")
    }
    let source = Self.source(manifest, digest, task.blobPath)
    let model =
      if let path = task.packedPath {
        try Model(
          manifest.description, part: part,
          // A disk that lies must not make an honest worker's results wrong.
          packedAt: PackedModelPlace(
            path: path, key: Self.packedKey(digest, unitPart), isVerified: true),
          from: source)
      } else {
        try Model(part, of: manifest.description, from: source)
      }
    loaded.withLock { $0 = Loaded(manifest: digest, part: unitPart, model: model) }
    return model
  }

  /// The unit's model with its transposes, made unless the last unit had them.
  func frozenModel(of task: UnitTask) throws -> FrozenModel {
    let model = try model(of: task)
    if let frozen = loaded.withLock({ $0?.frozen }) { return frozen }
    let frozen = try FrozenModel(model)
    loaded.withLock { $0?.frozen = frozen }
    return frozen
  }

  private static func source(
    _ manifest: ModelManifest, _ digest: Digest, _ path: @escaping @Sendable (Digest) -> String
  ) -> ManifestTensorSource {
    ManifestTensorSource(manifest, name: "model \(digest)") { name in
      guard let chunk = Digest(hex: name) else {
        throw UnitFailure.invalid("the manifest names a chunk by something that is no SHA-256")
      }
      return try ByteStorage(mapping: URL(fileURLWithPath: path(chunk)))
    }
  }

  /// Which failure of a unit an error is.
  private static func failure(_ error: any Error) -> UnitFailure {
    switch error {
    case let failure as UnitFailure: failure
    case ExecutionError.cancelled: .cancelled
    case ExecutionError.outOfMemory(let detail): .outOfMemory(detail)
    case let error as KernelError where error.code == .outOfResources:
      .outOfMemory("\(error)")
    // A file that this machine cannot read says nothing of the unit.
    case let error as FormatError where error.code == .unreadable: .failed("\(error)")
    case is ExecutionError, is ForwardError, is PayloadError, is FormatError, is KernelError:
      .invalid("\(error)")
    default: .failed("\(error)")
    }
  }
}

extension ModelPart {
  /// What a unit runs; nil stands for all of the model.
  ///
  /// - Throws: `UnitFailure.invalid` for a part that the model does not have.
  fileprivate init(_ part: UnitPart?, of description: ModelDescription) throws {
    guard let part else {
      self = .whole(of: description)
      return
    }
    guard part.fits(layerCount: description.layers.count) else {
      throw UnitFailure.invalid(
        "layers \(part.firstLayer) to \(part.endLayer) are no part of a model of "
          + "\(description.layers.count)")
    }
    self.init(
      hasEmbedding: part.embedding, layers: part.firstLayer..<part.endLayer, hasHead: part.head)
  }
}
