import CoordinatorCore
import GRDB
import WireProtocol

/// Who is there: workers that asked for work of late and are not held back.
struct FleetPresence {
  private let counts: [WorkPool: (workers: Int, accounts: Int)]

  init(since: Timestamp, now: Timestamp, _ db: Database) throws {
    let row = try db.first(
      """
      SELECT count(*) AS workers, count(DISTINCT account) AS accounts,
        count(CASE WHEN trusted THEN 1 END) AS trusted_workers,
        count(DISTINCT CASE WHEN trusted THEN account END) AS trusted_accounts
      FROM worker WHERE last_seen >= ? AND ifnull(suspended_until <= ?, 1)
        AND ifnull(backoff_until <= ?, 1)
      """, [since, now, now])
    counts = [
      .public: (try row?.value("workers") ?? 0, try row?.value("accounts") ?? 0),
      .trusted: (try row?.value("trusted_workers") ?? 0, try row?.value("trusted_accounts") ?? 0),
    ]
  }

  func workers(_ pool: WorkPool) -> Int { counts[pool]?.workers ?? 0 }
  func accounts(_ pool: WorkPool) -> Int { counts[pool]?.accounts ?? 0 }
}
