import Foundation
import Synchronization
import WirePayloads
import WireProtocol
import WorkerCore
import WorkerEngine

/// Keeps what one run of a unit finishes, at intervals, since every write waits for the disk.
final class Checkpoint: Sendable {
  private struct State {
    var offset: Int
    var waiting: [Int: GenerateResult.Sequence] = [:]
    var writtenAt: Moment
    /// A disk that refused a record is left alone: the unit is computed without.
    var isBroken = false
  }

  /// What earlier runs finished.
  let before: [FinishedSequences]
  /// How long they computed for that, in milliseconds.
  let millisecondsBefore: Int
  private let lease: Lease
  private let path: String
  private let interval: Duration
  private let clock: WorkerClock
  private let startedAt: Moment
  private let failed: @Sendable (any Error) -> Void
  private let state: Mutex<State>

  /// - Parameters:
  ///   - interval: at least so long lies between two writes.
  ///   - failed: told when the disk refuses; nothing is written afterwards.
  init(
    _ file: CheckpointFile, path: String, interval: Duration, clock: WorkerClock,
    failed: @escaping @Sendable (any Error) -> Void
  ) {
    before = file.finished
    millisecondsBefore = file.milliseconds
    lease = file.lease
    self.path = path
    self.interval = interval
    self.clock = clock
    self.failed = failed
    startedAt = clock.now()
    state = Mutex(State(offset: file.endOffset, writtenAt: startedAt))
  }

  func noteStart() throws { try state.withLock { try append(.started, Data(), to: &$0) } }

  /// Takes a sequence that has ended.
  func add(_ index: Int, _ sequence: GenerateResult.Sequence) {
    state.withLock { $0.waiting[index] = sequence }
  }

  /// Writes what has ended since the last time, once it is due.
  func writeIfDue() {
    if state.withLock({ $0.writtenAt + interval <= clock.now() }) { write() }
  }

  /// Writes what has ended since the last time.
  func write() {
    state.withLock { state in
      state.writtenAt = clock.now()
      guard !state.waiting.isEmpty, !state.isBroken else { return }
      do {
        let part = try FinishedSequences(state.waiting)
        let here = startedAt.duration(to: state.writtenAt).inSeconds * 1000
        try append(
          .finished(
            sequences: part.indices, milliseconds: millisecondsBefore + Int(here.rounded())),
          part.result, to: &state)
        state.waiting = [:]
      } catch {
        state.isBroken = true
        failed(error)
      }
    }
  }

  private func append(_ entry: CheckpointFile.Entry, _ payload: Data, to state: inout State) throws
  {
    let record = try CheckpointFile.record(
      entry, payload: payload, at: state.offset, lease: lease.id, unit: lease.unit)
    try DurableFile.write(record, at: state.offset, of: path)
    state.offset += record.count
  }
}
