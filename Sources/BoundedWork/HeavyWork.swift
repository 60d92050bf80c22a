import Foundation
import Synchronization

/// Threads for work that computes for long: decoding, hashing, tokenizing. Swift's own threads, as
/// many as processors, answer everyone and must not be held up.
///
/// Work may be asynchronous: it runs on these threads between its suspensions. A thread that has
/// had nothing to do for a second ends, and the last one gives freed memory back to the system.
package final class HeavyWork: TaskExecutor {
  private struct State {
    var waiting: [UnownedJob] = []
    var threads = 0
    var busy = 0
  }

  private let threads: Int
  private let state = Mutex(State())
  /// Counts the jobs that wait.
  private let arrivals = DispatchSemaphore(value: 0)
  private static let idle = DispatchTimeInterval.seconds(1)

  /// - Parameter threads: jobs that run at once, at most.
  package init(threads: Int) { self.threads = max(1, threads) }

  /// Runs `work` on these threads.
  ///
  /// - Throws: what `work` throws.
  package func run<Value: Sendable>(
    _ work: @Sendable () async throws -> Value
  ) async throws -> Value {
    try await withTaskExecutorPreference(self) { try await work() }
  }

  /// Runs `work` on these threads once `bytes` of `budget` are free.
  ///
  /// - Throws: `ByteBudget.Exhausted`, `CancellationError`, and what `work` throws.
  package func run<Value: Sendable>(
    bytes: Int, of budget: ByteBudget, _ work: @Sendable () async throws -> Value
  ) async throws -> Value {
    try await budget.take(bytes)
    defer { budget.giveBack(bytes) }
    return try await run(work)
  }

  /// Takes a job of a task that prefers this executor.
  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let needsThread = state.withLock { state in
      state.waiting.append(job)
      guard state.threads < threads, state.threads - state.busy < state.waiting.count else {
        return false
      }
      state.threads += 1
      return true
    }
    arrivals.signal()
    guard needsThread else { return }
    let thread = Thread { self.work() }
    // As the main thread's: parsers and templates go deep.
    thread.stackSize = 8 << 20
    thread.start()
  }

  /// What a thread does as long as there are jobs.
  private func work() {
    while true {
      guard arrivals.wait(timeout: .now() + Self.idle) == .success else {
        let rest = state.withLock { state -> Int? in
          guard state.waiting.isEmpty else { return nil }
          state.threads -= 1
          return state.threads
        }
        guard let rest else { continue }
        if rest == 0 { FreedMemory.giveBack() }
        return
      }
      let job = state.withLock { state in
        state.busy += 1
        return state.waiting.removeFirst()
      }
      job.runSynchronously(on: asUnownedTaskExecutor())
      state.withLock { $0.busy -= 1 }
    }
  }
}
