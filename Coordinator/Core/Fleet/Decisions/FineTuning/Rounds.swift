import Foundation
import WireProtocol

/// Validation of a job ends: the plan is fixed and the first round published.
package struct BeginTuning: FleetEvent {
  package let id: String
  package let plan: FineTuningPlan
  /// The model as it is; its name may mean another one later.
  package let base: ModelRecord
  package let first: NewFineTuningRound

  package init(_ id: String, plan: FineTuningPlan, base: ModelRecord, first: NewFineTuningRound) {
    self.id = id
    self.plan = plan
    self.base = base
    self.first = first
  }

  /// - Throws: `StoreError.conflict` when the job is not `validating`; `QuotaRefusal` when the key
  ///   may not store its blobs, or has no tokens left.
  package func decide(in fleet: inout Fleet) throws {
    var job = try fleet.requireJob(id)
    guard job.record.state == .validating else { throw job.notNow }
    let key = job.record.job.keyID
    // Others may have begun while nobody knew what this one takes.
    try fleet.requireQuota(.tokens, key: key, at: fleet.now)
    try fleet.requireQuota(
      .file(bytes: first.blobBytes.values.reduce(0, +)), key: key, at: fleet.now)
    job.record.state = .running
    job.record.startedAt = fleet.now
    job.record.plan = plan
    job.record.base = base
    job.reservedTokens = first.jobTokens
    for blob in [plan.training, plan.validation].compactMap(\.self) {
      job.keep(blob, bytes: first.blobBytes[blob] ?? 0)
    }
    fleet.put(job, from: .validating)
    try fleet.publish(first, ofJob: job.number, plan)
    let heldOut = plan.validationExamples > 0 ? ", \(plan.validationExamples) are held out" : ""
    fleet.note(
      FineTuningEvent(
        "Files validated: \(plan.trainingExamples) examples are learnt\(heldOut). "
          + "Rounds: \(plan.rounds), shards of each: \(plan.shards), steps of each shard: "
          + "\(plan.localSteps) at most."), ofJob: job.number)
    fleet.note(FineTuningEvent("Fine-tuning job started"), ofJob: job.number)
  }
}

/// A round is closed and the next one published; what is open of the round is given up. Repeating
/// it changes nothing.
package struct PublishRound: FleetEvent {
  package let job: String
  package let next: NewFineTuningRound
  package let joined: JoinedRound

  package init(_ next: NewFineTuningRound, joining joined: JoinedRound, ofJob id: String) {
    job = id
    self.next = next
    self.joined = joined
  }

  /// - Throws: `StoreError.conflict` when the job does not run.
  package func decide(in fleet: inout Fleet) throws {
    var row = try fleet.requireJob(job)
    guard row.record.state == .running, let plan = row.record.plan else { throw row.notNow }
    guard row.record.rounds == next.number, next.number == joined.number + 1 else { return }
    let key = TuningRoundRow.Key(job: row.number, number: joined.number)
    fleet.change(TuningRoundRow.self, key) { [now = fleet.now] round in
      round.joinedAt = now
      round.metrics = joined.metrics
    }
    for number in fleet.index.work.unitsOfRound[key].sorted() {
      fleet.change(UnitRow.self, number) { unit in
        guard unit.kind == .train, let shard = unit.tuning?.shard else { return }
        if joined.shards.contains(shard) { unit.tuning?.isJoined = true }
      }
    }
    row.record.velocity = joined.velocity
    row.record.trainedTokens += joined.metrics.tokens
    fleet.put(row)
    fleet.cancelUnits(ofJob: row.number, .round(joined.number))
    try fleet.publish(next, ofJob: row.number, plan)
    fleet.noteJoined(joined, ofJob: row.number, plan)
  }
}

/// The held-out loss of a round is known. Repeating it changes nothing.
package struct RecordValidation: FleetEvent {
  package let job: String
  package let round: Int
  package let loss: Double

  package init(_ loss: Double, ofRound round: Int, ofJob id: String) {
    job = id
    self.round = round
    self.loss = loss
  }

  /// - Throws: `StoreError.notFound`.
  package func decide(in fleet: inout Fleet) throws {
    let row = try fleet.requireJob(job)
    let key = TuningRoundRow.Key(job: row.number, number: round)
    guard let before = fleet.tuningRounds[key], before.validationLoss == nil else { return }
    fleet.change(TuningRoundRow.self, key) { $0.validationLoss = loss }
    guard let plan = row.record.plan else { return }
    let step = round == 0 ? 0 : plan.steps(through: round - 1)
    fleet.note(
      FineTuningEvent(
        "Step \(step)/\(plan.steps(through: plan.rounds - 1)): "
          + "full validation loss=\(loss.decimals(4))",
        metrics: ["step": Double(step), "full_valid_loss": loss]), ofJob: row.number)
  }
}

/// A job ends by itself. One that has ended stays as it is.
package struct EndTuning: FleetEvent {
  package let job: String
  package let ending: FineTuningEnding

  package init(_ ending: FineTuningEnding, ofJob id: String) {
    job = id
    self.ending = ending
  }

  /// - Throws: `StoreError.notFound`.
  package func decide(in fleet: inout Fleet) throws {
    var row = try fleet.requireJob(job)
    let old = row.record.state
    guard !old.hasEnded else { return }
    fleet.cancelUnits(ofJob: row.number, .job)
    row.record.velocity = nil
    row.record.endedAt = fleet.now
    switch ending {
    case .failed(let failure):
      fleet.removeModels(ofJob: job)
      row.record.state = .failed
      row.record.failure = failure
      fleet.put(row, from: old)
      fleet.note(FineTuningEvent(failure.message, level: .error), ofJob: row.number)
    case .succeeded(let chosen, let model, let files):
      try fleet.insertTuned(model)
      row.record.resultFileIDs = files.map { fleet.insertFile($0).id }
      row.record.state = .succeeded
      row.record.chosen = chosen
      row.record.tunedModel = model.id
      fleet.put(row, from: old)
      fleet.note(FineTuningEvent("New fine-tuned model created: \(model.id)"), ofJob: row.number)
      fleet.note(FineTuningEvent("The job has successfully completed"), ofJob: row.number)
    }
  }
}

extension TuningJobRow {
  fileprivate var notNow: StoreError {
    StoreError(.conflict, "Fine-tuning job \(record.id) is \(record.state.rawValue).")
  }
}

extension Fleet {
  /// Opens a round with its units.
  fileprivate mutating func publish(
    _ round: NewFineTuningRound, ofJob number: Int64, _ plan: FineTuningPlan
  ) throws {
    put(
      TuningRoundRow(
        job: number, number: round.number, adapter: round.adapter, publishedAt: now,
        checkpointID: newID("ftckpt_")))
    change(TuningJobRow.self, number) { row in
      row.record.rounds += 1
      for blob in [round.adapter] + round.units.map(\.inputs) {
        row.keep(blob, bytes: round.blobBytes[blob] ?? 0)
      }
    }
    guard let job = tuningJobs[number] else { return }
    for unit in round.units {
      let specification = UnitSpecification(
        kind: unit.kind, model: plan.model, inputs: unit.inputs, cache: .f32,
        adapter: round.adapter)
      _ = try open(
        NewUnit(
          specification: specification, queue: queue(unit.kind, of: job, plan),
          pool: job.record.job.pool, memoryBytes: unit.memoryBytes, tokens: unit.tokens,
          flops: unit.flops,
          tuning: TuningShard(job: number, round: round.number, shard: unit.shard)))
    }
    if let checkpoint = round.checkpoint { try insertTuned(checkpoint) }
  }

  /// The job's queue of one kind, which begins where the key's active ones are.
  private mutating func queue(
    _ kind: UnitKind, of job: TuningJobRow, _ plan: FineTuningPlan
  ) -> Int64 {
    let owner = WorkOwner.tuningJob(job.number)
    if let known = index.work.queuesOfOwner[owner].first(where: { queues[$0]?.kind == kind }) {
      return known
    }
    var row = QueueRow(
      number: nextNumber("queue"), owner: owner, kind: kind, keyID: job.record.job.keyID,
      pool: job.record.job.pool, model: plan.model, cache: .f32, adapter: nil,
      priority: job.record.job.priority)
    row.virtualTime = startingTime(ofKey: row.keyID)
    row.isReleased = true
    put(row)
    return row.number
  }

  fileprivate mutating func noteJoined(
    _ round: JoinedRound, ofJob number: Int64, _ plan: FineTuningPlan
  ) {
    let metrics = round.metrics
    let step = plan.steps(through: round.number)
    if metrics.joined < metrics.shards {
      note(
        FineTuningEvent(
          "Round \(round.number + 1) ends without \(metrics.shards - metrics.joined) of its "
            + "\(metrics.shards) shards: late, or lost.", level: .warn), ofJob: number)
    }
    guard let loss = metrics.meanLoss else { return }
    let all = plan.steps(through: plan.rounds - 1)
    note(
      FineTuningEvent(
        "Step \(step)/\(all): training loss=\(loss.decimals(4))",
        metrics: ["step": Double(step), "train_loss": loss, "total_steps": Double(all)]),
      ofJob: number)
  }
}

extension Double {
  /// With so many decimals, for people.
  fileprivate func decimals(_ count: Int) -> String { String(format: "%.\(count)f", self) }
}
