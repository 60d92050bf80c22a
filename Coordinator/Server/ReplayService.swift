import BoundedWork
import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Execution
import FineTuning
import Foundation
import Kernels
import Logging
import ModelFormats
import Models
import ServiceLifecycle
import Synchronization
import WirePayloads
import WireProtocol

/// The coordinator's own trusted machine: computes units whose replicas disagree, and audits
/// accepted ones when no others wait. Its bits are the truth.
///
/// A model is loaded for the first unit that needs it and let go when nothing is left to replay.
package struct ReplayService: Service {
  let environment: APIEnvironment
  let blobs: FolderBlobStore
  let threads: Int
  let pollSeconds: Int
  let logger: Logger

  package init(
    environment: APIEnvironment, blobs: FolderBlobStore, threads: Int, pollSeconds: Int,
    logger: Logger
  ) {
    self.environment = environment
    self.blobs = blobs
    self.threads = threads
    self.pollSeconds = pollSeconds
    self.logger = logger
  }

  package func run() async throws {
    let machine = ReplayMachine(blobs: blobs, threads: threads)
    await cancelWhenGracefulShutdown {
      while !Task.isCancelled {
        do {
          while let job = try await environment.store.takeReplay(now: environment.now()) {
            await replay(job, on: machine)
            if Task.isCancelled { return }
          }
        } catch is CancellationError {
          return
        } catch {
          logger.error("replays cannot be listed", metadata: ["error": "\(error)"])
        }
        machine.release()
        await environment.wakeups.replay.wait(atMost: .seconds(pollSeconds))
      }
    }
  }

  private func replay(_ job: ReplayJob, on machine: ReplayMachine) async {
    let metadata: Logger.Metadata = ["unit": "\(job.unit)", "reason": "\(job.reason)"]
    logger.notice("replay begins", metadata: metadata)
    do {
      let (specification, blobs) = (job.specification, blobs)
      let (unit, check) = try await environment.heavy.run {
        let inputs = try await UnitInputs(specification, blobs: blobs)
        return (
          try await work(specification, inputs),
          try await ResultCheck(inputs, of: specification, blobs: blobs)
        )
      }
      let data = try await machine.run(unit, isUrgent: !job.isAudit)
      let digest = try await blobs.put(data)
      let result = try await environment.heavy.run {
        try check.result(checking: data, digest: digest, vocabularySize: nil)
      }
      let outcome = try await environment.store.settleReplay(
        job.id, result: result, now: environment.now())
      let counts: Logger.Metadata = [
        "agreed": "\(outcome?.agreed ?? 0)", "rejected": "\(outcome?.rejected ?? 0)",
      ]
      if case .failed(let delivered) = outcome?.audit {
        logger.warning(
          "an audit found an accepted result wrong",
          metadata: metadata.merging(counts) { $1 }
            .merging(["delivered": "\(delivered)"]) { $1 })
      } else {
        logger.notice("replay settled", metadata: metadata.merging(counts) { $1 })
      }
      wake()
    } catch ExecutionError.cancelled {
      // The job is given out again when its time is over, or at the next start.
    } catch is CancellationError {
    } catch {
      logger.error(
        "replay failed", metadata: metadata.merging(["error": "\(error)"]) { $1 })
      try? await environment.store.failReplay(
        job.id, detail: "\(error)", now: environment.now())
      wake()
    }
  }

  private func wake() {
    environment.wakeups.finalisation.signal()
    environment.wakeups.fineTuning.signal()
  }

  private func work(
    _ specification: UnitSpecification, _ inputs: UnitInputs
  ) async throws -> ReplayMachine.Work {
    var vocabulary: VocabularyBytes?
    if let digest = specification.vocabulary {
      vocabulary = try VocabularyBytes(decoding: try await blobs.read(digest))
    }
    var adapter: AdapterPayload?
    if let digest = specification.adapter {
      adapter = try AdapterPayload(decoding: try await blobs.read(digest))
    }
    return ReplayMachine.Work(
      specification: specification, manifest: try await blobs.read(specification.model),
      inputs: inputs, vocabulary: vocabulary, adapter: adapter)
  }
}

/// Computes one unit at a time on a thread of its own, since kernels block for minutes.
final class ReplayMachine: Sendable {
  private let blobs: FolderBlobStore
  private let threads: Int
  private let thread = HeavyWork(threads: 1)
  /// A thread's priority can be lowered for good only, so audits have one of their own.
  private let auditThread = HeavyWork(threads: 1)
  private struct Loaded: Sendable {
    let digest: Digest
    let model: Model
    /// What adapters are trained over; made for the first unit that needs it.
    var frozen: FrozenModel?
  }

  private let loaded = Mutex<Loaded?>(nil)

  init(blobs: FolderBlobStore, threads: Int) {
    self.blobs = blobs
    self.threads = threads
  }

  /// Lets the model's memory go.
  func release() { loaded.withLock { $0 = nil } }

  /// A unit with all that it names.
  struct Work: Sendable {
    let specification: UnitSpecification
    let manifest: Data
    let inputs: UnitInputs
    let vocabulary: VocabularyBytes?
    let adapter: AdapterPayload?
  }

  /// How far audits stand back behind everything else on the machine (nice(1)).
  private static let auditNiceness: Int32 = 10

  /// The bytes of the unit's result.
  func run(_ work: Work, isUrgent: Bool) async throws -> Data {
    let cancelled = Atomic(false)
    return try await withTaskCancellationHandler {
      try await (isUrgent ? thread : auditThread).run {
        // Linux keeps it for each thread, and the kernels' threads have that of this one.
        if !isUrgent {
          setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.auditNiceness)
        }
        return try compute(work) { cancelled.load(ordering: .relaxed) }
      }
    } onCancel: {
      cancelled.store(true, ordering: .relaxed)
    }
  }

  private func compute(_ work: Work, isCancelled: () -> Bool) throws -> Data {
    let specification = work.specification
    let model = try model(specification.model, manifest: work.manifest)
    let share = ReplayShare(threads: self.threads)
    let (threads, memory) = (share.threads, share.memoryBytes)
    let compute = try Compute(
      kernels: .best(environment: ProcessInfo.processInfo.environment), threads: threads)
    func learner(_ examples: LabelledSequences) throws -> TrainingExecutor {
      guard let adapter = work.adapter else {
        throw StoreError(.corrupt, "A \(specification.kind.rawValue) unit names no adapter.")
      }
      // What a worker could compute is replayed in any case, if need be with the least memory.
      let planned = try? MemoryPlan.trainingLimits(
        DenseModel(model), Adapter(adapter), weightBytes: model.weightBytes,
        longest: examples.sequences.reduce(0) { max($0, $1.tokens.count) }, threads: threads,
        limitBytes: memory)
      return try TrainingExecutor(
        specification, model: frozen(model), adapter: adapter, compute: compute,
        limits: Trainer.Limits(
          rows: planned?.rows ?? 1,
          activationBytes: min(planned?.activationBytes ?? 0, Trainer.Limits().activationBytes)))
    }
    switch work.inputs {
    case .train(let inputs):
      return try learner(inputs.examples).train(inputs, isCancelled: isCancelled).encoded()
    case .validate(let inputs):
      return try learner(inputs).validate(inputs, isCancelled: isCancelled).encoded()
    case .generate(let inputs):
      let adapted = try work.adapter.map { try model.adapted(by: Adapter($0)) } ?? model
      let planned = try? MemoryPlan.batchLimits(
        description: model.description, weightBytes: model.weightBytes, inputs: inputs,
        cache: CacheElement(specification.cache), limitBytes: memory)
      return try UnitExecutor.run(
        specification, inputs: inputs, vocabulary: work.vocabulary,
        model: ExecutorModel(adapted, compute: compute), compute: compute,
        limits: planned ?? BatchLimits(activeSequences: 1),
        isCancelled: isCancelled
      ).encoded()
    }
  }

  private func model(_ digest: Digest, manifest: Data) throws -> Model {
    if let loaded = loaded.withLock({ $0 }), loaded.digest == digest { return loaded.model }
    release()
    let description = try ModelManifest(json: manifest, name: digest.hex)
    let blobs = blobs
    let source = ManifestTensorSource(
      description, name: digest.hex, digest: { BlobDigest.sha256($0).hex }
    ) { sha256 in
      guard let chunk = Digest(hex: sha256) else {
        throw StoreError(.corrupt, "The manifest \(digest) names a malformed digest.")
      }
      return try ByteStorage(mapping: URL(fileURLWithPath: blobs.path(of: chunk)))
    }
    let model = try Model(description.description, from: source)
    loaded.withLock { $0 = Loaded(digest: digest, model: model) }
    return model
  }

  private func frozen(_ model: Model) throws -> FrozenModel {
    if let frozen = loaded.withLock({ $0?.frozen }) { return frozen }
    let frozen = try FrozenModel(model)
    loaded.withLock { $0?.frozen = frozen }
    return frozen
  }
}
