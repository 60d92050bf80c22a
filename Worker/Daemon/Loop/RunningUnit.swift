import Foundation
import Logging
import Synchronization
import WirePayloads
import WireProtocol
import WorkerCore
import WorkerEngine

/// A unit whose blobs are pinned in the cache.
struct PreparedUnit: Sendable {
  var lease: Lease
  var manifest: Data
  var inputs: Data
  var vocabulary: Data?
  var adapter: Data?
  /// Every blob that is pinned for it.
  var blobs: [Digest]
  /// The packed model that is kept for it.
  var packed: Packed?

  struct Packed: Sendable {
    var model: BlobReference
    var path: String
  }
}

/// What the computing thread and the daemon tell each other about one unit.
final class UnitSignals: Sendable {
  private let cancelled = Atomic(false)
  private let flops = Mutex(0.0)
  private let rate: Mutex<TokenRate>

  /// A run begins at `now`.
  init(at now: Moment) { rate = Mutex(TokenRate(at: now)) }

  var isCancelled: Bool { cancelled.load(ordering: .relaxed) }
  func cancel() { cancelled.store(true, ordering: .relaxed) }

  func addTokens(_ count: Int, at now: Moment) { rate.withLock { $0.add(count, at: now) } }

  /// Tokens generated a second, of late.
  func tokensPerSecond(at now: Moment) -> Double? { rate.withLock { $0.perSecond(at: now) } }

  /// Floating-point operations done so far.
  var flopsDone: Double {
    get { flops.withLock { $0 } }
    set { flops.withLock { $0 = newValue } }
  }
}

/// How a unit ended on its thread.
enum UnitEnd: Sendable {
  /// In `seconds` of all its runs; `resumedSequences` were there from earlier ones.
  case finished(tokens: Int, flops: Double, seconds: Double, resumedSequences: Int)
  case failed(Abandonment.Reason, detail: String)
  case cancelled
}

/// Runs one unit from its blobs to its stored result, on a thread of its own, so that neither event
/// loops nor the concurrency runtime's threads are ever held up by it.
struct UnitThread: Sendable {
  let runner: any UnitRunning
  let prepared: PreparedUnit
  let signals: UnitSignals
  let blobPath: @Sendable (Digest) -> String
  let configuration: WorkerConfiguration
  let memoryLimitBytes: Int
  let key: any WorkerKey
  let results: ResultStore
  let checkpoints: CheckpointStore
  let energy: EnergyRecorder
  let clock: WorkerClock
  let logger: Logger
  let progress: @Sendable () -> Void

  /// Starts the thread; `ended` is called on it, once.
  func start(_ ended: @escaping @Sendable (UnitEnd) -> Void) {
    let thread = Thread { ended(run()) }
    thread.name = "tally-unit"
    thread.stackSize = 8 << 20
    thread.start()
  }

  private func run() -> UnitEnd {
    let lease = prepared.lease
    let checkpoint = startCheckpoint()
    let started = clock.now()
    do {
      let (outcome, energy) = try measured { try runner.run(task(checkpoint)) }
      let before = Double(checkpoint?.millisecondsBefore ?? 0) / 1000
      let seconds = before + started.duration(to: clock.now()).inSeconds
      let result = try configuration.resultTransformer?.transform(
        lease.unit, prepared.inputs, outcome.result)
      let finished = try FinishedResult(
        unit: lease.unit, result: result ?? outcome.result,
        milliseconds: Int((seconds * 1000).rounded()), energy: energy,
        now: clock.unixSeconds(), key: key)
      try save(finished)
      return .finished(tokens: outcome.tokens, flops: outcome.flops, seconds: seconds,
        resumedSequences: outcome.resumedSequences)
    } catch UnitFailure.cancelled {
      checkpoint?.write()
      return .cancelled
    } catch UnitFailure.invalid(let detail) {
      return .failed(.invalidUnit, detail: detail)
    } catch UnitFailure.outOfMemory(let detail) {
      return .failed(.outOfMemory, detail: detail)
    } catch {
      return .failed(.failed, detail: "\(error)")
    }
  }

  /// On the disk, or in memory where the disk refuses: the network may take it meanwhile.
  private func save(_ finished: FinishedResult) throws {
    do {
      try results.save(finished, lease: prepared.lease.id)
    } catch {
      guard results.hold(finished, lease: prepared.lease.id) else { throw error }
      logger.warning(
        "result not written: it is sent from memory",
        metadata: ["lease": "\(prepared.lease.id)", "error": "\(error)"])
    }
  }

  /// What `body` gives, and the energy of this and earlier runs of the unit.
  private func measured<Value>(_ body: () throws -> Value) throws -> (Value, EnergyUse) {
    let lease = prepared.lease.id
    energy.begin(lease: lease)
    let outcome = Result { try body() }
    let use = energy.end(lease: lease)
    return (try outcome.get(), use)
  }

  /// What the unit's progress is kept with; nil when the disk refuses.
  private func startCheckpoint() -> Checkpoint? {
    let lease = prepared.lease
    let failed: @Sendable (any Error) -> Void = { [logger] error in
      logger.warning(
        "checkpoint not written", metadata: ["lease": "\(lease.id)", "error": "\(error)"])
    }
    do {
      let checkpoint = try checkpoints.start(
        lease, every: .seconds(configuration.checkpointSeconds), clock: clock, failed: failed)
      let sequences = checkpoint.before.reduce(0) { $0 + $1.indices.count }
      if sequences > 0 {
        logger.info(
          "unit resumed", metadata: ["lease": "\(lease.id)", "sequences": "\(sequences)"])
      }
      return checkpoint
    } catch {
      failed(error)
      return nil
    }
  }

  private func task(_ checkpoint: Checkpoint?) -> UnitTask {
    var task = UnitTask(
      specification: prepared.lease.specification, manifest: prepared.manifest,
      inputs: prepared.inputs, vocabulary: prepared.vocabulary, blobPath: blobPath,
      packedPath: prepared.packed?.path, threads: configuration.threads,
      memoryLimitBytes: memoryLimitBytes,
      progress: { [signals, progress] flops in
        signals.flopsDone = flops
        checkpoint?.writeIfDue()
        progress()
      },
      isCancelled: { [signals] in signals.isCancelled })
    task.tokensGenerated = { [signals, clock] in signals.addTokens($0, at: clock.now()) }
    task.adapter = prepared.adapter
    if let checkpoint {
      task.finishedBefore = checkpoint.before
      task.sequenceFinished = { checkpoint.add($0, $1) }
    }
    return task
  }
}
