/// How far a batch is, for `GET /tally/v1/batches/{id}`.
package struct BatchProgress: Hashable, Sendable {
  /// Units by state. Units that several batches share count for the batch that they were cut for
  /// first.
  package struct Units: Hashable, Sendable {
    /// Cut, replicas run or are waited for.
    package var open = 0
    package var awaitingReplay = 0
    package var accepted = 0
    package var failed = 0
    package var cancelled = 0
    package var total: Int { open + awaitingReplay + accepted + failed + cancelled }

    package init(
      open: Int = 0, awaitingReplay: Int = 0, accepted: Int = 0, failed: Int = 0,
      cancelled: Int = 0
    ) {
      self.open = open
      self.awaitingReplay = awaitingReplay
      self.accepted = accepted
      self.failed = failed
      self.cancelled = cancelled
    }
  }
  /// Replicas by state.
  package struct Replicas: Hashable, Sendable {
    /// Leased now.
    package var running = 0
    /// Uploaded, not verified yet.
    package var waiting = 0
    package var accepted = 0
    package var rejected = 0
    /// Leases that ended without a result: expired, given back, or not needed any more.
    package var lost = 0

    package init(
      running: Int = 0, waiting: Int = 0, accepted: Int = 0, rejected: Int = 0, lost: Int = 0
    ) {
      self.running = running
      self.waiting = waiting
      self.accepted = accepted
      self.rejected = rejected
      self.lost = lost
    }
  }
  package var batch: BatchRecord
  package var units: Units
  package var replicas: Replicas
  /// Accepted units whose replicas agreed.
  package var agreements: Int
  /// Accepted units that the trusted machine settled.
  package var replays: Int
  /// Requests not yet cut into units.
  package var waitingRequests: Int
  /// Operations of accepted units, and the estimate for all requests.
  package var flopsDone: Double
  package var flopsEstimated: Double
  /// Why the batch waits, as sentences; empty when it does not.
  package var waitReasons: [String]
  /// Seconds until the completion window closes; 0 once it has or the batch has ended.
  package var secondsLeft: Int

  package init(
    batch: BatchRecord, units: Units, replicas: Replicas, agreements: Int, replays: Int,
    waitingRequests: Int, flopsDone: Double, flopsEstimated: Double, waitReasons: [String],
    secondsLeft: Int
  ) {
    self.batch = batch
    self.units = units
    self.replicas = replicas
    self.agreements = agreements
    self.replays = replays
    self.waitingRequests = waitingRequests
    self.flopsDone = flopsDone
    self.flopsEstimated = flopsEstimated
    self.waitReasons = waitReasons
    self.secondsLeft = secondsLeft
  }
}
