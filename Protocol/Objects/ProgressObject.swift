/// `GET /tally/v1/batches/{id}`: how far a batch is, and why it waits.
package struct ProgressObject: Codable, Hashable, Sendable {
  package struct Units: Codable, Hashable, Sendable {
    package var total, open, awaitingReplay, accepted, failed, cancelled: Int

    package init(
      total: Int, open: Int, awaitingReplay: Int, accepted: Int, failed: Int, cancelled: Int
    ) {
      self.total = total
      self.open = open
      self.awaitingReplay = awaitingReplay
      self.accepted = accepted
      self.failed = failed
      self.cancelled = cancelled
    }

    private enum CodingKeys: String, CodingKey {
      case total, open, accepted, failed, cancelled
      case awaitingReplay = "awaiting_replay"
    }
  }
  package struct Replicas: Codable, Hashable, Sendable {
    package var running, waiting, accepted, rejected, lost: Int

    package init(running: Int, waiting: Int, accepted: Int, rejected: Int, lost: Int) {
      self.running = running
      self.waiting = waiting
      self.accepted = accepted
      self.rejected = rejected
      self.lost = lost
    }
  }

  package private(set) var object = "tally.batch_progress"
  package var batch: BatchObject
  package var pool: String
  package var units: Units
  package var replicas: Replicas
  /// Accepted units whose replicas agreed, and those that the trusted machine settled.
  package var agreements: Int
  package var replays: Int
  /// Requests that are in no unit yet.
  package var waitingRequests: Int
  package var flopsDone: Double
  package var flopsEstimated: Double
  /// Sentences; empty when the batch does not wait.
  package var waitReasons: [String]
  package var secondsLeft: Int

  package init(
    batch: BatchObject, pool: String, units: Units, replicas: Replicas, agreements: Int,
    replays: Int, waitingRequests: Int, flopsDone: Double, flopsEstimated: Double,
    waitReasons: [String], secondsLeft: Int
  ) {
    self.batch = batch
    self.pool = pool
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

  private enum CodingKeys: String, CodingKey {
    case object, batch, pool, units, replicas, agreements, replays
    case waitingRequests = "waiting_requests"
    case flopsDone = "flops_done"
    case flopsEstimated = "flops_estimated"
    case waitReasons = "wait_reasons"
    case secondsLeft = "seconds_left"
  }
}
