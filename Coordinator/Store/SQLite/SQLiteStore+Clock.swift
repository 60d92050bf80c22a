import CoordinatorCore
import GRDB

package extension SQLiteStore {
  func moveDeadlines(seconds: Double) async throws {
    let moved = Int64((seconds * 1000).rounded())
    try await write { transaction in
      for statement in [
        """
        UPDATE replica SET issued_at = issued_at + ?1, deadline = deadline + ?1,
          last_deadline = last_deadline + ?1 WHERE state = 'running'
        """,
        """
        UPDATE unit SET replay_deadline = replay_deadline + ?1
        WHERE state = 'awaiting_replay' AND replay_deadline IS NOT NULL
        """,
        """
        UPDATE batch SET expires_at = expires_at + ?1 WHERE state IN ('validating', 'in_progress')
        """,
        """
        UPDATE worker SET suspended_until = suspended_until + ?1,
          backoff_until = backoff_until + ?1
        WHERE suspended_until IS NOT NULL OR backoff_until IS NOT NULL
        """,
      ] {
        try transaction.db.run(statement, [moved])
      }
    }
  }
}
