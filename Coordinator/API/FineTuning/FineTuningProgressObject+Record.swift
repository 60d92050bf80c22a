import APIObjects
import CoordinatorCore
import CoordinatorStore
import WireProtocol

extension FineTuningProgressObject {
  init(
    _ record: FineTuningJobRecord, _ rounds: [FineTuningRoundRecord], waitReasons: [String],
    now: Timestamp
  ) {
    let joined = rounds.last(where: { $0.joinedAt != nil })?.number
    // What is learnt from a published adapter is the round after it.
    let open = rounds.last?.units.contains { $0.kind == .train } == true ? 1 : 0
    let units = rounds.flatMap(\.units)
    self.init(
      job: FineTuningObject(record, now: now), paused: record.state == .paused,
      pool: record.job.pool.rawValue, roundsPlanned: record.plan?.rounds ?? 0,
      stepsPlanned: record.plan.map { $0.steps(through: $0.rounds - 1) } ?? 0,
      stepsDone: joined.flatMap { record.plan?.steps(through: $0) } ?? 0,
      rounds: (0..<rounds.count + open).map { number in
        let before = number > 0 ? rounds[number - 1] : nil
        let shards = before?.units.filter { $0.kind == .train } ?? []
        return Round(
          number: number, trainLoss: before?.metrics?.meanLoss,
          validLoss: number < rounds.count ? rounds[number].validationLoss : nil,
          shards: shards.count, accepted: shards.count { $0.result != nil },
          joined: before?.metrics?.joined)
      },
      unitsAccepted: units.count { $0.result != nil },
      unitsOpen: units.count { $0.shown == .open }, unitsLost: units.count { $0.shown == .lost },
      waitReasons: waitReasons)
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
