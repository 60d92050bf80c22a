import BoundedWork
import Synchronization

/// Answers that are made once for everyone who asks within a moment.
///
/// Who asks while an answer is being made waits for that one. An answer is forgotten when the
/// moment is over, a failure at once.
package final class ShortCache<Value: Sendable>: Sendable {
  private struct Entry {
    let number: Int
    let task: Task<Value, any Error>
    /// Nil while it is being made.
    var end: ContinuousClock.Instant?
  }
  private struct State {
    var entries: [String: Entry] = [:]
    var made = 0
  }

  private let interval: Duration
  private let capacity: Int
  /// Counts answers, not bytes: those that are made for who asks alone.
  private let alone: ByteBudget
  private let state = Mutex(State())

  /// - Parameters:
  ///   - interval: how long an answer serves others; 0: for as long as it is being made.
  ///   - capacity: answers that are kept at most; more are made, but for who asks alone.
  ///   - alone: answers for who asks alone that are made at a time.
  ///   - waiting: callers that may wait for that.
  package init(interval: Duration, capacity: Int = 128, alone: Int = 4, waiting: Int = 64) {
    self.interval = interval
    self.capacity = capacity
    self.alone = ByteBudget(limitBytes: alone, waiting: waiting)
  }

  /// The answer as it was made a moment ago, or is being made now.
  ///
  /// - Parameter key: equal for those who get the same.
  /// - Throws: what `make` throws; `APIError` 503 where so many different answers are asked for
  ///   that too many wait.
  package func value(
    for key: String, _ make: @escaping @Sendable () async throws -> Value
  ) async throws -> Value {
    let task = state.withLock { state -> Task<Value, any Error>? in
      if let entry = state.entries[key], entry.end.map({ .now < $0 }) ?? true { return entry.task }
      guard state.entries.count < capacity || state.entries[key] != nil else { return nil }
      state.made += 1
      let number = state.made
      let task = Task {
        do {
          let value = try await make()
          keep(key, number)
          return value
        } catch {
          forget(key, number)
          throw error
        }
      }
      state.entries[key] = Entry(number: number, task: task)
      return task
    }
    if let task { return try await task.value }
    do {
      return try await alone.holding(1) { try await make() }
    } catch is ByteBudget.Exhausted {
      throw APIError.tryLater(
        .serviceUnavailable, "Too much is asked for at once.", seconds: 5)
    }
  }

  /// Callers that wait until an answer may be made for them alone.
  package var waitingCount: Int { alone.waitingCount }

  /// Whether somebody would get an answer without its being made.
  package func has(_ key: String) -> Bool {
    state.withLock { $0.entries[key].map { $0.end.map { .now < $0 } ?? true } ?? false }
  }

  private func keep(_ key: String, _ number: Int) {
    state.withLock { state in
      guard state.entries[key]?.number == number else { return }
      state.entries[key]?.end = .now + interval
    }
    Task {
      try? await Task.sleep(for: interval)
      forget(key, number)
    }
  }

  private func forget(_ key: String, _ number: Int) {
    state.withLock { state in
      if state.entries[key]?.number == number { state.entries[key] = nil }
    }
  }
}
