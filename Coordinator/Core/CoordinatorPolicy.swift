/// The numbers that scheduling and verification go by. An operator may change them; the defaults
/// suit volunteers' machines and units of about a minute.
package struct CoordinatorPolicy: Hashable, Sendable {
  /// Seconds of work that a unit is cut for.
  package var targetUnitSeconds = 60
  /// A worker is given another's unit that takes it up to this many times the target, and a longer
  /// one only when there is nothing else for it.
  package var replicaStretch = 4.0
  /// Sequences that a unit holds at most (a single larger request is a unit of its own).
  package var maximumSequencesPerUnit = 256
  /// Sequences in a unit for a worker that has not finished any yet.
  package var firstUnitSequences = 4
  /// Speed assumed of such a worker, in floating-point operations a second for each core, of which
  /// `assumedCores` count at most.
  package var assumedFlopsPerCore = 1e9
  /// Units that one lease call gives at most.
  package var maximumUnitsPerLease = 16
  /// Leases that a worker may hold at a time, so that none can hoard what others would compute.
  package var maximumRunningLeases = 32

  /// Seconds between a worker's heartbeats.
  package var heartbeatSeconds = 30
  /// Seconds without a heartbeat after which a lease may end.
  package var silenceSeconds = 120
  /// A lease's first deadline is this many times the time that the unit should take, at least
  /// `silenceSeconds` and at most `patienceFactor` times as long.
  package var deadlineFactor = 2.0
  /// Heartbeats that show no progress extend a lease to this many times `silenceSeconds` at least,
  /// and after progress by as much beside the time that it took: owners' pauses are no failure.
  package var patienceFactor = 5.0
  /// Bytes a second at which a worker is expected to download a model.
  package var assumedDownloadBytesPerSecond = 1e6
  /// A replica is late after this many times the time that the unit should take, and
  /// `silenceSeconds` at least: once the unit has a result, another account gets its place. Not
  /// later than this many times what units like it usually take, whatever the worker's own speed.
  package var lateFactor = 3.0
  /// Heartbeats with progress extend a lease to this many times the time that the unit should take,
  /// or that units like it usually take, or to `deadlineFactor` times what one core of
  /// `assumedFlopsPerCore` takes,
  package var extensionFactor = 10.0
  /// but at least to this many seconds,
  package var minimumExtensionSeconds = 3_600
  /// and at most to this many.
  package var maximumLeaseSeconds = 86_400

  /// Accounts whose digests must be equal in the public pool, for units that are cut from now on.
  package var quorum = 2
  /// The share of what quorums accept that the trusted machine computes again, for established
  /// accounts; `AuditRule` says how much more it is for others.
  package var auditShare = 0.01
  /// Units that wait for an audit at most.
  package var maximumDueAudits = 256
  /// Replicas of a unit that may be lost (expired or given back as failed) before the trusted
  /// machine takes it, by as many accounts, or by all where there are fewer.
  package var maximumLostReplicas = 6
  /// Accounts, or all where there are fewer, that call a unit invalid before the trusted machine
  /// takes it; machines of the trusted pool, before its requests fail.
  package var maximumInvalidReports = 3
  /// Attempts of the trusted machine before the unit's requests fail.
  package var maximumReplays = 2
  /// Seconds after which an attempt of the trusted machine is given out again, at most; shorter for
  /// units that take less at `assumedFlopsPerCore`, so that one cut short by a restart is soon
  /// redone.
  package var replaySeconds = 3_600

  /// Seconds that a worker gets no work after its first wrong result; doubled for each further one,
  /// to 30 days.
  package var suspensionSeconds = 3_600
  /// Seconds that all workers of an account get no work after the first of them gave a wrong
  /// result.
  package var accountHoldSeconds = 600
  /// Accepted results, and times the work that a machine got wrong, that make up for one such
  /// machine of an account: see `AccountStrikes`.
  package var accountTolerance = AccountStrikes.defaultTolerance
  /// Seconds that a worker gets no work after it failed at a unit; doubled for each further one in
  /// a row, to an hour.
  package var failureBackoffSeconds = 30
  /// Units of one model that a worker calls invalid within an hour before it gets no more of it.
  package var maximumRefusals = 8
  /// Seconds that a worker gets no more of a model after it called a unit of it invalid that the
  /// trusted machine computed.
  package var refutedSeconds = 86_400
  /// Units that an account may give back at once for each of its workers without waiting, as a
  /// restart does,
  package var freeReturns = 10
  /// and seconds after which it may give back one more.
  package var returnSeconds = 120
  /// Seconds after which a worker that asked for nothing counts as away.
  package var activeSeconds = 600
  /// Seconds after which an idle worker may ask again.
  package var retryAfterSeconds = 5

  /// Speed that is believed of a stranger's machine after its first accepted unit, at most: twice
  /// what is assumed of one with many cores.
  package var fastestFirstSpeed: Double {
    2 * assumedFlopsPerCore * Double(Self.assumedCores)
  }

  /// Seconds that a batch's unit may usually take: it is cut for the target, and a slower worker is
  /// given it as far as it may be stretched.
  package var usualUnitSeconds: Double { Double(targetUnitSeconds) * replicaStretch }

  /// Cores that count for the speed assumed of a worker, at most.
  package static let assumedCores = 16

  /// Seconds for which only those accounts are given the second replica of a unit that were drawn
  /// first; after each such time twice as many are. Shorter when nothing else waits, so that the
  /// end of a batch is not held up.
  package func drawSeconds(isBusy: Bool) -> Double {
    Double(isBusy ? max(targetUnitSeconds, 2 * retryAfterSeconds) : 2 * retryAfterSeconds)
  }

  package init() {}

  /// Accounts whose results must be equal for a unit that is cut now.
  package func accountsWanted(in pool: WorkPool) -> Int {
    switch pool {
    case .public: max(1, quorum)
    case .trusted: pool.leastAccounts
    }
  }

  /// Seconds that the trusted machine has for a unit.
  package func replaySeconds(flops: Double) -> Int {
    min(replaySeconds, Int(min(1e9, max(120, flops / assumedFlopsPerCore))))
  }

  /// Seconds of suspension after the `count`th wrong result.
  package func suspension(afterRejections count: Int) -> Int {
    Self.doubled(suspensionSeconds, times: count - 1, limit: 30 * 86_400)
  }

  /// How an account is held back after a wrong result.
  package func accountPenalty(_ strikes: AccountStrikes) -> AccountPenalty {
    switch strikes.count {
    case ...0: .none
    case 1: .hold(seconds: accountHoldSeconds)
    default: .suspension(seconds: suspension(afterRejections: strikes.count))
    }
  }

  /// Seconds of waiting after the `count`th failure in a row.
  package func backoff(afterFailures count: Int) -> Int {
    Self.doubled(failureBackoffSeconds, times: count - 1, limit: 3_600)
  }

  private static func doubled(_ seconds: Int, times: Int, limit: Int) -> Int {
    guard times > 0 else { return min(seconds, limit) }
    return times > 20 ? limit : min(seconds << times, limit)
  }
}
