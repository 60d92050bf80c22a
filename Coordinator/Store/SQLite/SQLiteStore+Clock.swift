import CoordinatorCore
import GRDB

package extension SQLiteStore {
  func moveDeadlines(seconds: Double) async throws {
    let moved = Int64((seconds * 1000).rounded())
    try await write { transaction in
      for statement in [
        """
        UPDATE replica SET issued_at = issued_at + ?1, deadline = deadline + ?1,
          last_deadline = last_deadline + ?1, idle_deadline = idle_deadline + ?1,
          late_at = late_at + ?1, progress_at = progress_at + ?1 WHERE state = 'running'
        """,
        """
        UPDATE unit SET replay_deadline = replay_deadline + ?1
        WHERE state = 'awaiting_replay' AND replay_deadline IS NOT NULL
        """,
        "UPDATE unit SET wanted_since = wanted_since + ?1 WHERE missing > 0",
        """
        UPDATE account SET backoff_until = backoff_until + ?1, returns_until = returns_until + ?1
        WHERE backoff_until IS NOT NULL OR returns_until IS NOT NULL
        """,
        """
        UPDATE batch SET expires_at = expires_at + ?1 WHERE state IN ('validating', 'in_progress')
        """,
        """
        UPDATE worker SET suspended_until = suspended_until + ?1,
          backoff_until = backoff_until + ?1, failed_at = failed_at + ?1
        WHERE suspended_until IS NOT NULL OR backoff_until IS NOT NULL OR failed_at IS NOT NULL
        """,
      ] {
        try transaction.db.run(statement, [moved])
      }
    }
  }
}
