import CoordinatorCore
import GRDB
import WireProtocol

/// Who is there: workers that asked for work of late and may be given some, as the scheduler sees
/// them.
struct FleetPresence {
  private let counts: [WorkPool: (workers: Int, accounts: Int)]

  /// What holds of a row of `worker` that is there. Its arguments are those of `arguments(now:_:)`.
  static let condition = """
    last_seen >= :seen AND ifnull(suspended_until <= :now, 1) AND ifnull(backoff_until <= :now, 1)
    AND banned_at IS NULL AND account NOT IN (
      SELECT id FROM account WHERE suspended_until > :now
      UNION ALL SELECT id FROM account WHERE backoff_until > :now
      UNION ALL SELECT id FROM account WHERE returns_until > :returns
      UNION ALL SELECT id FROM account WHERE banned_at IS NOT NULL)
    """

  /// - Parameter others: arguments of the rest of a statement.
  static func arguments(
    now: Timestamp, _ policy: CoordinatorPolicy,
    _ others: [String: (any DatabaseValueConvertible)?] = [:]
  ) -> StatementArguments {
    let own: [String: (any DatabaseValueConvertible)?] = [
      "now": now, "seen": now.adding(seconds: -policy.activeSeconds),
      "returns": ReturnRate.countedUntil(heldBackUntil: now, policy),
    ]
    return StatementArguments(own.merging(others) { own, _ in own })
  }

  init(now: Timestamp, _ policy: CoordinatorPolicy, _ db: Database) throws {
    let row = try db.first(
      """
      SELECT count(*) AS workers, count(DISTINCT account) AS accounts,
        count(CASE WHEN trusted THEN 1 END) AS trusted_workers,
        count(DISTINCT CASE WHEN trusted THEN account END) AS trusted_accounts
      FROM worker WHERE \(Self.condition)
      """, Self.arguments(now: now, policy))
    counts = [
      .public: (try row?.value("workers") ?? 0, try row?.value("accounts") ?? 0),
      .trusted: (try row?.value("trusted_workers") ?? 0, try row?.value("trusted_accounts") ?? 0),
    ]
  }

  func workers(_ pool: WorkPool) -> Int { counts[pool]?.workers ?? 0 }
  func accounts(_ pool: WorkPool) -> Int { counts[pool]?.accounts ?? 0 }
}
