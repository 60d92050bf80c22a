import CoordinatorCore
import GRDB

package extension SQLiteStore {
  func keptClock() async throws -> KeptClock? {
    try await read { try KeptClock.stored(in: $0) }
  }

  func moveDeadlines(seconds: Double, now: Timestamp) async throws {
    let moved = Int64((seconds * 1000).rounded())
    try await write { transaction in
      for statement in ClockMove.statements {
        try transaction.db.run(statement, [moved])
      }
      for statement in ClockMove.clamped {
        try transaction.db.run(statement, [moved, now])
      }
      for statement in ClockMove.forgotten { try transaction.db.run(statement) }
      let before = Day(containing: Timestamp(milliseconds: now.milliseconds - moved))
      for statement in ClockMove.days {
        try transaction.db.run(statement, [Day(containing: now).number - before.number])
      }
      // With the rows, so that a start after a kill does not move them once more.
      try transaction.store(KeptClock(time: now, calendar: now, setAt: now))
    }
  }
}

/// What moves with a clock that was set. A new column that holds a time belongs here when anything
/// is compared with it: an end, or a beginning that an age is counted from. `?1` is by how much.
private enum ClockMove {
  /// By milliseconds.
  static let statements = [
    """
    UPDATE replica SET issued_at = issued_at + ?1, deadline = deadline + ?1,
      last_deadline = last_deadline + ?1, idle_deadline = idle_deadline + ?1,
      late_at = late_at + ?1, progress_at = progress_at + ?1 WHERE state = 'running'
    """,
    // Wrong results and refused units hold their worker back for a while.
    """
    UPDATE replica SET issued_at = issued_at + ?1, submitted_at = submitted_at + ?1
    WHERE state = 'rejected'
    """,
    """
    UPDATE replica SET issued_at = issued_at + ?1, submitted_at = submitted_at + ?1
    WHERE reason = 'invalidUnit' AND state NOT IN ('running', 'rejected')
    """,
    """
    UPDATE unit SET replay_deadline = replay_deadline + ?1
    WHERE state = 'awaiting_replay' AND replay_deadline IS NOT NULL
    """,
    """
    UPDATE unit SET replay_deadline = replay_deadline + ?1
    WHERE audit = 'due' AND state <> 'awaiting_replay' AND replay_deadline IS NOT NULL
    """,
    "UPDATE unit SET wanted_since = wanted_since + ?1 WHERE missing > 0",
    """
    UPDATE account SET backoff_until = backoff_until + ?1, returns_until = returns_until + ?1,
      suspended_until = suspended_until + ?1, no_enrolment_until = no_enrolment_until + ?1,
      team_changed_at = team_changed_at + ?1, average_at = average_at + ?1
    """,
    "UPDATE batch SET expires_at = expires_at + ?1 WHERE state IN ('validating', 'in_progress')",
    "UPDATE file SET expires_at = expires_at + ?1 WHERE expires_at IS NOT NULL",
    "UPDATE certificate SET not_after = not_after + ?1",
    // 0 is that of a revoked one.
    "UPDATE invitation SET expires_at = expires_at + ?1 WHERE expires_at > 0",
    """
    UPDATE worker SET suspended_until = suspended_until + ?1, backoff_until = backoff_until + ?1,
      average_at = average_at + ?1
    """,
    // What a round of fine-tuning took so far, and how long its stragglers have.
    """
    UPDATE unit SET ended_at = ended_at + ?1 WHERE ended_at IS NOT NULL AND number IN (
      SELECT fine_tuning_unit.unit FROM fine_tuning_job
      JOIN fine_tuning_round ON fine_tuning_round.job = fine_tuning_job.number
      JOIN fine_tuning_unit ON fine_tuning_unit.job = fine_tuning_job.number
        AND fine_tuning_unit.round = fine_tuning_round.number
      WHERE fine_tuning_job.state IN ('running', 'paused') AND fine_tuning_round.joined_at IS NULL)
    """,
    """
    UPDATE fine_tuning_round SET published_at = published_at + ?1
    WHERE joined_at IS NULL
      AND job IN (SELECT number FROM fine_tuning_job WHERE state IN ('running', 'paused'))
    """,
    "UPDATE fine_tuning_job SET resumed_at = resumed_at + ?1 WHERE state IN ('running', 'paused')",
  ]

  /// By milliseconds, and no later than `?2`, the time from now on.
  static let clamped = [
    """
    UPDATE worker SET last_seen = min(last_seen + ?1, ?2), failed_at = min(failed_at + ?1, ?2),
      result_at = min(result_at + ?1, ?2)
    """
  ]

  /// Forgotten: whether several processes work with a key shows again when they ask for work.
  static let forgotten = ["UPDATE worker SET runs = NULL WHERE runs IS NOT NULL"]

  /// By days of UTC.
  static let days = [
    "UPDATE account SET streak_day = streak_day + ?1 WHERE streak_day IS NOT NULL",
    "UPDATE account SET replay_day = replay_day + ?1 WHERE replay_day > 0",
  ]
}

extension KeptClock {
  /// Nil when nothing was kept.
  fileprivate static func stored(in db: Database) throws -> KeptClock? {
    try db.first("SELECT value FROM setting WHERE name = 'clock'")?.json("value")
  }
}

extension Transaction {
  /// Keeps the time when that is due: a tick that does not costs no write.
  func keep(time: Timestamp, calendar: Timestamp) throws {
    let kept = try KeptClock.stored(in: db)
    guard kept?.isDue(time: time, calendar: calendar) ?? true else { return }
    try store(KeptClock(time: time, calendar: calendar, setAt: kept?.setAt))
  }

  fileprivate func store(_ clock: KeptClock) throws {
    try db.run(
      """
      INSERT INTO setting (name, value) VALUES ('clock', ?)
      ON CONFLICT DO UPDATE SET value = excluded.value
      """, [try jsonText(clock)])
  }
}
