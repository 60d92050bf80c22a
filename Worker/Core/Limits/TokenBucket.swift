/// Keeps a stream of bytes to a rate. What has passed is charged, and whoever wants to pass more
/// waits until the debt is paid, so that several streams share one rate however large their pieces.
package struct TokenBucket: Hashable, Sendable {
  /// Nil: no limit.
  package private(set) var bytesPerSecond: Int?
  /// Bytes that may pass at once; negative for a debt.
  private var balance = 0.0
  private var settledAt: Moment

  /// What an idle stream may save up, in seconds of its rate: enough that a busy machine, which
  /// wakes it late, does not slow it down.
  private static let savedSeconds = 0.4

  /// - Parameter now: never decreases from call to call, here and in the functions.
  package init(bytesPerSecond: Int? = nil, at now: Moment) {
    self.bytesPerSecond = bytesPerSecond
    settledAt = now
  }

  /// Changes the rate. A debt stays, and is paid at the new one; without a limit it is forgiven.
  package mutating func set(bytesPerSecond rate: Int?, at now: Moment) {
    guard rate != bytesPerSecond else { return }
    settle(at: now)
    bytesPerSecond = rate
    if rate == nil { balance = 0 }
  }

  /// Notes that `bytes` have passed.
  package mutating func charge(_ bytes: Int, at now: Moment) {
    guard bytesPerSecond != nil else { return }
    settle(at: now)
    balance -= Double(max(0, bytes))
  }

  /// How long nothing more may pass; nil when something may now.
  package mutating func wait(at now: Moment) -> Duration? {
    settle(at: now)
    guard let rate = bytesPerSecond, balance < 0 else { return nil }
    return .seconds(-balance / Double(max(1, rate)))
  }

  private mutating func settle(at now: Moment) {
    let seconds = settledAt.duration(to: now).inSeconds
    settledAt = now
    guard let rate = bytesPerSecond, seconds > 0 else { return }
    balance = min(balance + Double(rate) * seconds, Double(rate) * Self.savedSeconds)
  }
}
