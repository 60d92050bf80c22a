/// How much of a queue one worker or account may hold at a time, so that none can keep the rest
/// waiting.
package enum LeaseShare {
  /// Leases of a queue that anyone may hold: one that runs and a few to come, which may be all of a
  /// small queue.
  package static let freeLeases = 4

  /// The share of one worker of so many: all alone, two thirds of two, twice an equal part of many.
  package static func ofWorker(among workers: Int) -> Double { 2 / Double(max(1, workers) + 1) }

  /// The share of one account of so many: never less than a half, since it may have most machines.
  package static func ofAccount(among accounts: Int) -> Double {
    max(0.5, ofWorker(among: accounts))
  }

  /// How much more may be taken by one that holds some of what it and nobody else holds.
  package static func room(held: Int, left: Int, share: Double) -> Int {
    max(0, min(left, Int((share * Double(held + left)).rounded(.up)) - held))
  }
}

/// How often an account may give units back: as restarts do, and no more. Each unit counts for some
/// seconds, which pass with time.
package enum ReturnRate {
  /// Until when units given back count, with one more.
  ///
  /// - Parameters:
  ///   - counted: until when those before count; nil for none.
  ///   - workers: of the account, which may give back as much each.
  package static func adding(
    to counted: Timestamp?, workers: Int, now: Timestamp, _ policy: CoordinatorPolicy
  ) -> Timestamp {
    max(now, counted ?? now)
      .adding(seconds: Double(policy.returnSeconds) / Double(max(1, workers)))
  }

  /// Until when the account gets no work; a time that has passed for one that gave back little.
  package static func heldBackUntil(
    _ counted: Timestamp, _ policy: CoordinatorPolicy
  ) -> Timestamp {
    counted.adding(seconds: -policy.freeReturns * policy.returnSeconds)
  }

  /// Until when units count of an account that gets no work before `time`.
  package static func countedUntil(
    heldBackUntil time: Timestamp, _ policy: CoordinatorPolicy
  ) -> Timestamp {
    time.adding(seconds: policy.freeReturns * policy.returnSeconds)
  }
}
