import CoordinatorCore
import CoordinatorStore
import WireProtocol

/// `GET /tally/v1/fine_tuning/jobs/{id}`: how far a job is.
package struct FineTuningProgressObject: Encodable, Hashable, Sendable {
  package struct Round: Encodable, Hashable, Sendable {
    /// From 1; the adapter before the first round is number 0.
    package var number: Int
    @Nullable package var trainLoss: Double?
    /// Of the adapter after the round.
    @Nullable package var validLoss: Double?
    package var shards: Int
    package var accepted: Int
    /// Joined shards; null as long as the round is open.
    @Nullable package var joined: Int?

    private enum CodingKeys: String, CodingKey {
      case number, shards, accepted, joined
      case trainLoss = "train_loss"
      case validLoss = "valid_loss"
    }
  }

  package let object = "tally.fine_tuning_progress"
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
  /// Why it does not get on, as sentences; empty when it does.
  package var waitReasons: [String]

  init(
    _ record: FineTuningJobRecord, _ rounds: [FineTuningRoundRecord], waitReasons: [String],
    now: Timestamp
  ) {
    self.waitReasons = waitReasons
    job = FineTuningObject(record, now: now)
    paused = record.state == .paused
    pool = record.job.pool.rawValue
    roundsPlanned = record.plan?.rounds ?? 0
    stepsPlanned = record.plan.map { $0.steps(through: $0.rounds - 1) } ?? 0
    let joined = rounds.last(where: { $0.joinedAt != nil })?.number
    stepsDone = joined.flatMap { record.plan?.steps(through: $0) } ?? 0
    // What is learnt from a published adapter is the round after it.
    let open = rounds.last?.units.contains { $0.kind == .train } == true ? 1 : 0
    self.rounds = (0..<rounds.count + open).map { number in
      let before = number > 0 ? rounds[number - 1] : nil
      let shards = before?.units.filter { $0.kind == .train } ?? []
      return Round(
        number: number, trainLoss: before?.metrics?.meanLoss,
        validLoss: number < rounds.count ? rounds[number].validationLoss : nil,
        shards: shards.count, accepted: shards.count { $0.result != nil },
        joined: before?.metrics?.joined)
    }
    let units = rounds.flatMap(\.units)
    unitsAccepted = units.count { $0.result != nil }
    unitsOpen = units.count { $0.shown == .open }
    unitsLost = units.count { $0.shown == .lost }
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

extension FineTuningTranscript {
  /// What was joined and measured so far; nil before the job has a plan.
  init?(_ record: FineTuningJobRecord, _ rounds: [FineTuningRoundRecord]) {
    guard let plan = record.plan else { return nil }
    self.init(
      job: record.id, plan: plan,
      rounds: rounds.map { round in
        Round(
          number: round.number, adapter: round.adapter,
          joined: round.units.filter(\.isJoined).compactMap(Unit.init),
          measured: round.units.filter { $0.kind == .validate }.compactMap(Unit.init),
          validationLoss: round.validationLoss)
      }, chosen: record.chosen)
  }
}

extension FineTuningTranscript.Unit {
  fileprivate init?(_ unit: FineTuningRoundRecord.Unit) {
    guard let result = unit.result else { return nil }
    self.init(
      shard: unit.shard, unit: unit.digest, specification: unit.specification, result: result,
      verification: unit.verification?.rawValue ?? "")
  }
}
