import CoordinatorCore
import GRDB
import WireProtocol

package extension SQLiteStore {
  func failedAudits(limit: Int) async throws -> [FailedAudit] {
    try await read { db in
      try db.all(
        """
        SELECT number, digest, audited_at, result, delivered FROM unit WHERE audit = 'failed'
        ORDER BY audited_at DESC, number DESC LIMIT ?
        """, [limit]
      ).map { row in
        let number: Int64 = try row.value("number")
        return FailedAudit(
          unit: try row.value("digest"), time: try row.value("audited_at"),
          jobs: try db.jobs(ofUnit: number),
          accounts: try db.all(
            """
            SELECT DISTINCT account.name FROM replica JOIN account ON account.id = replica.account
            WHERE replica.unit = ? AND replica.state = 'rejected' ORDER BY account.name
            """, [number]
          ).map { try $0.value("name") },
          result: try row.value("result"), delivered: try row.optional("delivered"))
      }
    }
  }
}

extension Database {
  /// Ids of the batches and fine-tuning jobs that a unit belongs to.
  fileprivate func jobs(ofUnit number: Int64) throws -> [String] {
    try all(
      """
      SELECT DISTINCT batch.id FROM request JOIN batch ON batch.number = request.batch
      WHERE request.unit = ?
      UNION ALL
      SELECT fine_tuning_job.id FROM fine_tuning_unit JOIN fine_tuning_job
        ON fine_tuning_job.number = fine_tuning_unit.job WHERE fine_tuning_unit.unit = ?
      """, [number, number]
    ).map { try $0.value("id") }
  }
}
