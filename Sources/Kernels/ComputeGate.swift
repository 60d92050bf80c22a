import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Holds computing back from outside while it runs: wholly, or to a share of its threads' time. A
/// pool asks it before each of its jobs, which take milliseconds. Speed alone depends on it, never
/// a result.
package final class ComputeGate: Sendable {
  /// How much may be computed.
  package struct Limit: Hashable, Sendable {
    /// Of the threads' time, 0 to 1; 0 stops.
    package var share: Double
    /// Threads at most; nil: all of the pool.
    package var threads: Int?

    package init(share: Double, threads: Int? = nil) {
      (self.share, self.threads) = (share, threads)
    }

    /// Everything.
    package static let none = Limit(share: 1)
  }

  private struct State {
    var limit = Limit.none
    var budget = ProcessorBudget()
  }

  private let state = Mutex(State())
  /// False while nothing limits, so that most jobs ask no more than that.
  private let isLimited = Atomic(false)

  package init() {}

  /// Takes effect with the next job, and within a twentieth of a second on a job that waits.
  package func set(_ limit: Limit) {
    state.withLock { $0.limit = limit }
    isLimited.store(limit != .none, ordering: .releasing)
  }

  /// Waits until a job of a pool of `threads` threads may run; returns the threads that may run it.
  ///
  /// - Parameter isCancelled: ends the wait early; asked twenty times a second.
  package func pass(threads: Int, isCancelled: () -> Bool = { false }) -> Int {
    guard isLimited.load(ordering: .acquiring) else { return threads }
    while true {
      let (wait, most) = state.withLock { state in
        let limit = state.limit
        let most = max(1, min(threads, limit.threads ?? threads))
        let wait = state.budget.wait(
          used: processorSeconds(), now: steadySeconds(), rate: limit.share * Double(most))
        return (wait, most)
      }
      guard wait > 0, !isCancelled() else { return most }
      usleep(UInt32(min(wait, 0.05) * 1e6) + 1)
    }
  }
}

/// Processor time that may be used at a steady rate, without saving up: what was not used is lost
/// after a moment.
package struct ProcessorBudget: Sendable {
  /// What may be used at once, in seconds at full rate: short enough that no fan notices.
  static let burst = 0.05
  private var last: (now: Double, used: Double)?
  /// Processor seconds in hand; negative when too much was used.
  private var balance = 0.0

  package init() {}

  /// Seconds to wait before more may be used.
  ///
  /// - Parameters:
  ///   - used: processor seconds since some origin.
  ///   - now: seconds on a steady clock.
  ///   - rate: processor seconds that may be used a second; 0: none.
  package mutating func wait(used: Double, now: Double, rate: Double) -> Double {
    if let last {
      balance += (now - last.now) * rate - (used - last.used)
      balance = min(balance, Self.burst * rate)
    }
    last = (now, used)
    guard rate > 0 else { return .infinity }
    return balance < 0 ? -balance / rate : 0
  }
}

/// Processor time of all threads of this process, in seconds.
private func processorSeconds() -> Double { seconds(CLOCK_PROCESS_CPUTIME_ID) }

private func steadySeconds() -> Double { seconds(CLOCK_MONOTONIC) }

private func seconds(_ clock: clockid_t) -> Double {
  var time = timespec()
  clock_gettime(clock, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
