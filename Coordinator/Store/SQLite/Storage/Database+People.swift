import CoordinatorCore
import GRDB
import WireProtocol

/// Accounts and what belongs to them.
extension Database {
  func loadPeople(into set: inout WorkingSet) throws {
    let confirmations = try all("SELECT account, by FROM confirmation ORDER BY account, by")
      .reduce(into: [String: [String]]()) { names, row in
        names[try row.value("account"), default: []].append(try row.value("by"))
      }
    set.accounts = try all("SELECT * FROM account ORDER BY number").map { row in
      var account = try AccountRow(row: row)
      account.confirmations = confirmations[account.id] ?? []
      return account
    }
    set.accountKeys = try all("SELECT * FROM account_key ORDER BY number").map { row in
      AccountKeyRow(
        number: try row.value("number"), hash: try row.value("hash"),
        account: try row.value("account"), createdAt: try row.value("created_at"),
        revokedAt: try row.optional("revoked_at"))
    }
    set.teams = try all("SELECT * FROM team ORDER BY id").map { row in
      TeamRow(
        id: try row.value("id"), name: try row.value("name"), likeness: try row.value("likeness"),
        founder: try row.value("founder"), createdAt: try row.value("created_at"))
    }
    set.invitations = try all("SELECT * FROM invitation ORDER BY id").map { row in
      InvitationRow(
        id: try row.value("id"), secretHash: try row.value("secret_hash"),
        account: try row.value("account"), usesLeft: try row.value("uses_left"),
        expiresAt: try row.value("expires_at"), trusted: try row.value("trusted"),
        createdAt: try row.value("created_at"))
    }
    try loadWorkers(into: &set)
  }

  func writePeople(_ changes: FleetChanges) throws {
    for id in changes.teams.deletions { try run("DELETE FROM team WHERE id = ?", [id]) }
    for row in changes.teams.upserts {
      try run(
        """
        INSERT INTO team (id, name, likeness, founder, created_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (id) DO NOTHING
        """, [row.id, row.name, row.likeness, row.founder, row.createdAt])
    }
    // A name of a deleted account may be another's by now.
    let accounts = changes.accounts.upserts
    for row in accounts where row.deletedAt != nil { try write(row) }
    for row in accounts where row.deletedAt == nil { try write(row) }
    for number in changes.accountKeys.deletions {
      try run("DELETE FROM account_key WHERE number = ?", [number])
    }
    for row in changes.accountKeys.upserts {
      try run(
        """
        INSERT INTO account_key (number, hash, account, created_at, revoked_at)
        VALUES (?, ?, ?, ?, ?) ON CONFLICT (number) DO UPDATE SET revoked_at = excluded.revoked_at
        """, [row.number, row.hash, row.account, row.createdAt, row.revokedAt])
    }
    for row in changes.invitations.upserts {
      try run(
        """
        INSERT INTO invitation (id, secret_hash, account, uses_left, expires_at, trusted,
          created_at) VALUES (?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET uses_left = excluded.uses_left,
          expires_at = excluded.expires_at
        """,
        [
          row.id, row.secretHash, row.account, row.usesLeft, row.expiresAt, row.trusted,
          row.createdAt,
        ])
    }
    try writeWorkers(changes)
  }

  private func write(_ row: AccountRow) throws {
    let (tally, streak) = (row.tally, row.streak)
    try run(
      """
      INSERT INTO account (id, number, created_at, cross_project_id, name, likeness, named, team,
        team_changed_at, country, url, email, accepted, rejected, tokens, credit, energy,
        estimated_energy, average, average_at, streak, longest_streak, streak_day, failures,
        backoff_until, returns_until, suspended_until, no_enrolment_until, replay_day,
        replay_flops, wrong_results, banned_at, ban_reason, deleted_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
        ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET name = excluded.name, likeness = excluded.likeness,
        named = excluded.named, team = excluded.team, team_changed_at = excluded.team_changed_at,
        country = excluded.country, url = excluded.url, email = excluded.email,
        accepted = excluded.accepted, rejected = excluded.rejected, tokens = excluded.tokens,
        credit = excluded.credit, energy = excluded.energy,
        estimated_energy = excluded.estimated_energy, average = excluded.average,
        average_at = excluded.average_at, streak = excluded.streak,
        longest_streak = excluded.longest_streak, streak_day = excluded.streak_day,
        failures = excluded.failures, backoff_until = excluded.backoff_until,
        returns_until = excluded.returns_until, suspended_until = excluded.suspended_until,
        no_enrolment_until = excluded.no_enrolment_until, replay_day = excluded.replay_day,
        replay_flops = excluded.replay_flops, wrong_results = excluded.wrong_results,
        banned_at = excluded.banned_at, ban_reason = excluded.ban_reason,
        deleted_at = excluded.deleted_at
      """,
      [
        row.id, row.number, row.createdAt, row.crossProjectID, row.name, row.likeness, row.isNamed,
        row.team, row.teamChangedAt, row.country, row.url, row.email, tally.accepted,
        tally.rejected, tally.tokens, tally.credit.micro, tally.energy.millijoules,
        tally.energy.estimatedMillijoules, tally.average.value, tally.average.time, streak.run,
        streak.longest, streak.lastDay?.number, row.failures, row.backoffUntil, row.returnsUntil,
        row.suspendedUntil, row.noEnrolmentUntil, row.replayDay, row.replayFlops,
        try jsonText(row.wrongResults), row.bannedAt, row.banReason, row.deletedAt,
      ] as StatementArguments)
    let kept = try jsonText(row.confirmations)
    try run(
      """
      DELETE FROM confirmation WHERE account = ? AND by NOT IN (SELECT value FROM json_each(?))
      """, [row.id, kept])
    try run(
      """
      INSERT INTO confirmation (account, by) SELECT ?, value FROM json_each(?) WHERE true
      ON CONFLICT DO NOTHING
      """, [row.id, kept])
  }
}

extension AccountRow {
  fileprivate init(row: Row) throws {
    self.init(
      id: try row.value("id"), number: try row.value("number"), name: try row.value("name"),
      likeness: try row.value("likeness"), createdAt: try row.value("created_at"),
      crossProjectID: try row.value("cross_project_id"))
    isNamed = try row.value("named")
    team = try row.optional("team")
    teamChangedAt = try row.optional("team_changed_at")
    country = try row.optional("country")
    url = try row.optional("url")
    email = try row.optional("email")
    tally = try Tally(row: row, created: createdAt)
    streak = try Streak(row: row)
    failures = try row.value("failures")
    backoffUntil = try row.optional("backoff_until")
    returnsUntil = try row.optional("returns_until")
    suspendedUntil = try row.optional("suspended_until")
    noEnrolmentUntil = try row.optional("no_enrolment_until")
    replayDay = try row.value("replay_day")
    replayFlops = try row.value("replay_flops")
    wrongResults = try row.json("wrong_results")
    bannedAt = try row.optional("banned_at")
    banReason = try row.optional("ban_reason")
    deletedAt = try row.optional("deleted_at")
  }
}

extension Tally {
  /// From the columns that `account` and `worker` share.
  init(row: Row, created: Timestamp) throws {
    self.init(created: created)
    accepted = try row.value("accepted")
    rejected = try row.value("rejected")
    tokens = try row.value("tokens")
    credit = Credit(micro: try row.value("credit"))
    energy = try Energy(row: row)
    average = RecentAverage(value: try row.value("average"), time: try row.value("average_at"))
  }
}
