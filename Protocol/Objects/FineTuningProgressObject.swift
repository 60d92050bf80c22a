/// `GET /tally/v1/fine_tuning/jobs/{id}`: how far a job is.
package struct FineTuningProgressObject: Codable, Hashable, Sendable {
  package struct Round: Codable, Hashable, Sendable {
    /// From 1; the adapter before the first round is number 0.
    package var number: Int
    @Nullable package var trainLoss: Double?
    /// Of the adapter after the round.
    @Nullable package var validLoss: Double?
    package var shards: Int
    package var accepted: Int
    /// Joined shards; null as long as the round is open.
    @Nullable package var joined: Int?

    package init(
      number: Int, trainLoss: Double?, validLoss: Double?, shards: Int, accepted: Int, joined: Int?
    ) {
      self.number = number
      self.trainLoss = trainLoss
      self.validLoss = validLoss
      self.shards = shards
      self.accepted = accepted
      self.joined = joined
    }

    private enum CodingKeys: String, CodingKey {
      case number, shards, accepted, joined
      case trainLoss = "train_loss"
      case validLoss = "valid_loss"
    }
  }

  package private(set) var object = "tally.fine_tuning_progress"
  package var job: FineTuningObject
  package var paused: Bool
  package var pool: String
  /// Rounds of the plan; 0 before the files were read.
  package var roundsPlanned: Int
  package var stepsPlanned: Int
  package var stepsDone: Int
  package var rounds: [Round]
  package var unitsAccepted: Int
  package var unitsOpen: Int
  package var unitsLost: Int
  /// Why it does not get on, as sentences; empty when it does, nil from coordinators that do not
  /// say.
  @Nullable package var waitReasons: [String]?

  package init(
    job: FineTuningObject, paused: Bool, pool: String, roundsPlanned: Int, stepsPlanned: Int,
    stepsDone: Int, rounds: [Round], unitsAccepted: Int, unitsOpen: Int, unitsLost: Int,
    waitReasons: [String]?
  ) {
    self.job = job
    self.paused = paused
    self.pool = pool
    self.roundsPlanned = roundsPlanned
    self.stepsPlanned = stepsPlanned
    self.stepsDone = stepsDone
    self.rounds = rounds
    self.unitsAccepted = unitsAccepted
    self.unitsOpen = unitsOpen
    self.unitsLost = unitsLost
    self.waitReasons = waitReasons
  }

  private enum CodingKeys: String, CodingKey {
    case object, job, paused, pool, rounds
    case roundsPlanned = "rounds_planned"
    case stepsPlanned = "steps_planned"
    case stepsDone = "steps_done"
    case unitsAccepted = "units_accepted"
    case unitsOpen = "units_open"
    case unitsLost = "units_lost"
    case waitReasons = "wait_reasons"
  }
}
