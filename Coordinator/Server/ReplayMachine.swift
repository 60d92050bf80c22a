import BoundedWork
import CoordinatorStore
import Execution
import Foundation
import Synchronization
import WireProtocol

/// Computes one unit at a time on a thread of its own, since kernels block for minutes.
final class ReplayMachine: Sendable {
  private let blobs: FolderBlobStore
  private let threads: Int
  private let thread = HeavyWork(threads: 1)
  /// A thread's priority can be lowered for good only, so audits have one of their own.
  private let auditThread = HeavyWork(threads: 1)
  /// Made for the first unit: a processor that cannot compute fails replays, not the coordinator.
  private let made = Mutex<UnitRunner?>(nil)

  init(blobs: FolderBlobStore, threads: Int) {
    self.blobs = blobs
    self.threads = threads
  }

  /// Lets the model's memory go.
  func release() { made.withLock { $0 }?.releaseMemory() }

  /// A unit with the bytes of all that it names.
  struct Work: Sendable {
    let specification: UnitSpecification
    let manifest: Data
    let inputs: Data
    let vocabulary: Data?
    let adapter: Data?
  }

  /// How far audits stand back behind everything else on the machine (nice(1)).
  private static let auditNiceness: Int32 = 10

  /// The bytes of the unit's result.
  ///
  /// - Throws: as `UnitRunner.run`.
  func run(_ work: Work, isUrgent: Bool) async throws -> Data {
    let cancellation = Cancellation()
    return try await withTaskCancellationHandler {
      try await (isUrgent ? thread : auditThread).run {
        // Linux keeps it for each thread, and the kernels' threads have that of this one.
        if !isUrgent {
          setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.auditNiceness)
        }
        return try compute(work) { cancellation.isSet.load(ordering: .relaxed) }
      }
    } onCancel: {
      cancellation.isSet.store(true, ordering: .relaxed)
    }
  }

  private final class Cancellation: Sendable {
    let isSet = Atomic(false)
  }

  /// What a worker could compute is replayed in any case, if need be with the least memory.
  private func compute(
    _ work: Work, isCancelled: @escaping @Sendable () -> Bool
  ) throws -> Data {
    let share = ReplayShare(threads: threads)
    let blobs = blobs
    let model = StoredModel(
      work.specification.model, manifest: work.manifest, verifiesChunks: true
    ) { blobs.path(of: $0) }
    var unit = UnitWork(
      work.specification, inputs: work.inputs, vocabulary: work.vocabulary, adapter: work.adapter,
      threads: share.threads)
    unit.isCancelled = isCancelled
    return try runner().run(unit, on: .store(model), within: .target(bytes: share.memoryBytes))
      .result
  }

  private func runner() throws -> UnitRunner {
    try made.withLock { made in
      if let made { return made }
      let runner = UnitRunner(
        try CPUEngine(environment: ProcessInfo.processInfo.environment))
      made = runner
      return runner
    }
  }
}
