import Synchronization

/// Bytes of memory that work may use together. Who wants more than is left waits, first come first
/// served; who wants more than there is works alone.
package final class ByteBudget: Sendable {
  /// So many wait already that no more may.
  package struct Exhausted: Error {}

  private struct Waiting {
    let number: Int
    let bytes: Int
    let continuation: CheckedContinuation<Void, any Error>
  }

  private struct State {
    var taken = 0
    var waiting: [Waiting] = []
    var next = 0
    /// Those that were cancelled before they waited.
    var cancelled: Set<Int> = []
  }

  private let limitBytes: Int
  /// Callers that may wait for bytes at once.
  package let waitingLimit: Int
  private let state = Mutex(State())

  /// - Parameters:
  ///   - limitBytes: bytes that are taken at once.
  ///   - waiting: callers that may wait for bytes at once.
  package init(limitBytes: Int, waiting: Int) {
    self.limitBytes = limitBytes
    waitingLimit = waiting
  }

  /// Bytes that are taken now.
  package var takenBytes: Int { state.withLock { $0.taken } }

  /// Callers that wait now.
  package var waitingCount: Int { state.withLock { $0.waiting.count } }

  /// Runs `work` once so many bytes are free, on the threads of whoever calls.
  ///
  /// - Throws: `Exhausted`, `CancellationError`, and what `work` throws.
  package func holding<Value>(
    _ bytes: Int, _ work: () async throws -> Value
  ) async throws -> Value {
    try await take(bytes)
    defer { giveBack(bytes) }
    return try await work()
  }

  /// Returns once so many bytes are the caller's, until it gives them back.
  ///
  /// - Throws: `Exhausted`; `CancellationError` where the task is cancelled while it waits.
  func take(_ bytes: Int) async throws {
    let number = state.withLock { state in
      state.next += 1
      return state.next
    }
    // A cancellation that came too late has left its number.
    defer { state.withLock { _ = $0.cancelled.remove(number) } }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let outcome: Result<Void, any Error>? = state.withLock { state in
          if state.cancelled.remove(number) != nil { return .failure(CancellationError()) }
          if state.waiting.isEmpty, fits(bytes, state) {
            state.taken += bytes
            return .success(())
          }
          guard state.waiting.count < waitingLimit else { return .failure(Exhausted()) }
          state.waiting.append(.init(number: number, bytes: bytes, continuation: continuation))
          return nil
        }
        if let outcome { continuation.resume(with: outcome) }
      }
    } onCancel: {
      cancel(number)
    }
  }

  /// Ends a `take` of so many bytes.
  func giveBack(_ bytes: Int) {
    admit { $0.taken -= bytes }
  }

  private func cancel(_ number: Int) {
    var cancelled: Waiting?
    // Others behind it may fit where it did not.
    admit { state in
      if let index = state.waiting.firstIndex(where: { $0.number == number }) {
        cancelled = state.waiting.remove(at: index)
      } else {
        state.cancelled.insert(number)
      }
    }
    cancelled?.continuation.resume(throwing: CancellationError())
  }

  /// Changes the state and wakes whom that lets in.
  private func admit(after change: (inout State) -> Void) {
    let admitted = state.withLock { state in
      change(&state)
      var admitted: [Waiting] = []
      while let first = state.waiting.first, fits(first.bytes, state) {
        state.taken += first.bytes
        admitted.append(state.waiting.removeFirst())
      }
      return admitted
    }
    for one in admitted { one.continuation.resume() }
  }

  private func fits(_ bytes: Int, _ state: State) -> Bool {
    state.taken == 0 || state.taken + bytes <= limitBytes
  }
}
