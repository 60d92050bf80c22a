import CoordinatorCore
import Foundation
import GRDB
import WireProtocol

// Rounds of fine-tuning jobs.
package extension SQLiteStore {
  func activeMachines(
    pool: WorkPool, now: Timestamp
  ) async throws -> (count: Int, flopsPerSecond: Double) {
    try await read { [policy] db in
      let row = try db.first(
        """
        SELECT count(*) AS count, ifnull(sum(speed), 0.0) AS speed FROM worker
        WHERE \(FleetPresence.condition) AND (trusted = 1 OR :all)
        """, FleetPresence.arguments(now: now, policy, ["all": pool == .public]))
      return (try row?.value("count") ?? 0, try row?.value("speed") ?? 0)
    }
  }

  func openFineTuningJobs(limit: Int) async throws -> [FineTuningJobRecord] {
    try await read { db in
      try StoredTuningJob.all(
        where: "state IN ('validating', 'running') ORDER BY number LIMIT ?", [limit], db
      ).map(\.record)
    }
  }

  func fineTuningRounds(
    of id: String, key: String?, openOnly: Bool
  ) async throws -> [FineTuningRoundRecord] {
    try await read { db in
      let job = try StoredTuningJob.require(id, key: key, db)
      let isMeasured = job.record.plan?.validation != nil
      return try db.all(
        "SELECT * FROM fine_tuning_round WHERE job = ? ORDER BY number", [job.number]
      ).map { row in
        let number: Int = try row.value("number")
        let isOpen = try number == job.record.rounds - 1
          || (isMeasured && row.optional("validation_loss", as: Double.self) == nil)
        let hasMetrics = try row.optional("metrics", as: String.self) != nil
        return FineTuningRoundRecord(
          number: number, adapter: try row.value("adapter"),
          publishedAt: try row.value("published_at"), joinedAt: try row.optional("joined_at"),
          metrics: hasMetrics ? try row.json("metrics") : nil,
          validationLoss: try row.optional("validation_loss"),
          checkpointID: try row.value("checkpoint"),
          units: !openOnly || isOpen ? try db.units(ofRound: number, job: job.number) : [])
      }
    }
  }

  func beginFineTuning(
    _ id: String, plan: FineTuningPlan, base: ModelRecord, _ first: NewFineTuningRound,
    now: Timestamp
  ) async throws {
    try await write { transaction in
      let row = try StoredTuningJob.require(id, transaction.db)
      guard row.record.state == .validating else { throw Self.notNow(row) }
      let key = row.record.job.keyID
      // Others may have begun while nobody knew what this one takes.
      try transaction.requireQuota(.tokens, key: key, now: now)
      try transaction.requireQuota(
        .file(bytes: first.blobBytes.values.reduce(0, +)), key: key, now: now)
      try transaction.db.run(
        """
        UPDATE fine_tuning_job SET state = 'running', started_at = ?, plan = ?, base = ?,
          reserved_tokens = ? WHERE number = ?
        """, [now, try jsonText(plan), try jsonText(base), first.jobTokens, row.number])
      for blob in [plan.training, plan.validation].compactMap(\.self) {
        try transaction.keep(blob, bytes: first.blobBytes[blob] ?? 0, for: row.number)
      }
      try transaction.publish(first, of: row, plan: plan, now: now)
      let heldOut = plan.validationExamples > 0 ? ", \(plan.validationExamples) are held out" : ""
      try transaction.note(
        FineTuningEvent(
          "Files validated: \(plan.trainingExamples) examples are learnt\(heldOut). "
            + "Rounds: \(plan.rounds), shards of each: \(plan.shards), steps of each shard: "
            + "\(plan.localSteps) at most."),
        ofJob: row.number, now: now)
      try transaction.note(FineTuningEvent("Fine-tuning job started"), ofJob: row.number, now: now)
    }
  }

  func publish(
    _ next: NewFineTuningRound, joining round: JoinedRound, ofFineTuningJob id: String,
    now: Timestamp
  ) async throws {
    try await write { transaction in
      let db = transaction.db
      let row = try StoredTuningJob.require(id, db)
      guard row.record.state == .running, let plan = row.record.plan else { throw Self.notNow(row) }
      guard row.record.rounds == next.number, next.number == round.number + 1 else { return }
      try db.run(
        "UPDATE fine_tuning_round SET joined_at = ?, metrics = ? WHERE job = ? AND number = ?",
        [now, try jsonText(round.metrics), row.number, round.number])
      for shard in round.shards {
        try db.run(
          """
          UPDATE fine_tuning_unit SET joined = 1
          WHERE job = ? AND round = ? AND kind = 'train' AND shard = ?
          """, [row.number, round.number, shard])
      }
      try db.run(
        """
        UPDATE fine_tuning_job SET velocity = ?, trained_tokens = trained_tokens + ?
        WHERE number = ?
        """, [round.velocity, round.metrics.tokens, row.number])
      try transaction.cancelUnits(of: row, .round(round.number), now: now)
      try transaction.publish(next, of: row, plan: plan, now: now)
      try transaction.noteJoined(round, of: row, plan, now: now)
    }
  }

  func recordValidation(
    _ loss: Double, ofRound round: Int, ofFineTuningJob id: String, now: Timestamp
  ) async throws {
    try await write { transaction in
      let row = try StoredTuningJob.require(id, transaction.db)
      try transaction.db.run(
        """
        UPDATE fine_tuning_round SET validation_loss = ?
        WHERE job = ? AND number = ? AND validation_loss IS NULL
        """, [loss, row.number, round])
      guard transaction.db.changesCount > 0, let plan = row.record.plan else { return }
      let step = round == 0 ? 0 : plan.steps(through: round - 1)
      try transaction.note(
        FineTuningEvent(
          "Step \(step)/\(plan.steps(through: plan.rounds - 1)): "
            + "full validation loss=\(loss.decimals(4))",
          metrics: ["step": Double(step), "full_valid_loss": loss]),
        ofJob: row.number, now: now)
    }
  }

  func end(
    _ ending: FineTuningEnding, ofFineTuningJob id: String, now: Timestamp
  ) async throws {
    try await write { transaction in
      let db = transaction.db
      let row = try StoredTuningJob.require(id, db)
      guard !row.record.state.hasEnded else { return }
      try transaction.cancelUnits(of: row, .job, now: now)
      try transaction.forgetVelocity(of: row)
      switch ending {
      case .failed(let failure):
        try db.run("DELETE FROM model WHERE record ->> 'fineTuningJob' = ?", [id])
        try db.run(
          """
          UPDATE fine_tuning_job SET state = 'failed', ended_at = ?, failure = ? WHERE number = ?
          """, [now, try jsonText(failure), row.number])
        try transaction.note(
          FineTuningEvent(failure.message, level: .error), ofJob: row.number, now: now)
      case .succeeded(let chosen, let model, let files):
        try transaction.insertTuned(model)
        let stored = try files.map { try transaction.insert($0, now: now).id }
        try db.run(
          """
          UPDATE fine_tuning_job SET state = 'succeeded', ended_at = ?, chosen = ?,
            tuned_model = ?, result_files = ? WHERE number = ?
          """, [now, chosen, model.id, try jsonText(stored), row.number])
        try transaction.note(
          FineTuningEvent("New fine-tuned model created: \(model.id)"), ofJob: row.number, now: now)
        try transaction.note(
          FineTuningEvent("The job has successfully completed"), ofJob: row.number, now: now)
      }
    }
  }

  private static func notNow(_ row: StoredTuningJob) -> StoreError {
    StoreError(.conflict, "Fine-tuning job \(row.record.id) is \(row.record.state.rawValue).")
  }
}

extension Transaction {
  fileprivate func noteJoined(
    _ round: JoinedRound, of job: StoredTuningJob, _ plan: FineTuningPlan, now: Timestamp
  ) throws {
    let metrics = round.metrics
    let step = plan.steps(through: round.number)
    if metrics.joined < metrics.shards {
      try note(
        FineTuningEvent(
          "Round \(round.number + 1) ends without \(metrics.shards - metrics.joined) of its "
            + "\(metrics.shards) shards: late, or lost.", level: .warn),
        ofJob: job.number, now: now)
    }
    guard let loss = metrics.meanLoss else { return }
    try note(
      FineTuningEvent(
        "Step \(step)/\(plan.steps(through: plan.rounds - 1)): training loss=\(loss.decimals(4))",
        metrics: [
          "step": Double(step), "train_loss": loss,
          "total_steps": Double(plan.steps(through: plan.rounds - 1)),
        ]),
      ofJob: job.number, now: now)
  }
}

extension Database {
  fileprivate func units(
    ofRound round: Int, job: Int64
  ) throws -> [FineTuningRoundRecord.Unit] {
    try all(
      """
      SELECT unit.*, fine_tuning_unit.shard, fine_tuning_unit.joined
      FROM fine_tuning_unit JOIN unit ON unit.number = fine_tuning_unit.unit
      WHERE job = ? AND round = ? ORDER BY fine_tuning_unit.kind, shard
      """, [job, round]
    ).map { row in
      let unit = try StoredUnit(row: row, self)
      let shown: RoundRule.Shard =
        switch unit.unit.state {
        case .open, .awaitingReplay: .open
        case .accepted: .accepted(try row.value("ended_at"))
        case .failed, .cancelled: .lost
        }
      let accounts = Set(unit.unit.replicas.lazy.filter { $0.state == .accepted }.map(\.account))
      let named = try accounts.sorted().compactMap { account in
        try first("SELECT name FROM account WHERE id = ? AND named = 1", [account])?
          .value("name", as: String.self)
      }
      return FineTuningRoundRecord.Unit(
        kind: unit.kind, shard: try row.value("shard"), digest: unit.digest,
        specification: try row.json("specification"), shown: shown,
        result: try row.optional("delivered") ?? unit.unit.state.acceptance?.result,
        verification: unit.unit.state.acceptance?.verification,
        isJoined: try row.value("joined"), accounts: named,
        unnamedAccounts: accounts.count - named.count)
    }
  }
}

extension Double {
  /// With so many decimals, for people.
  fileprivate func decimals(_ count: Int) -> String {
    String(format: "%.\(count)f", self)
  }
}
