import CoordinatorCore
import CoordinatorStore
import Testing
import WireProtocol

@Suite("Store contract: history, teams, consent")
struct StatisticsContractTests {
  private static let start = Laboratory.start
  private static let today = Day(containing: start)

  /// Two accounts that answer a batch on each of these days, counted from the first.
  private func compute(
    _ lab: Laboratory, on days: [Int]
  ) async throws -> (ann: WorkerRecord, bob: WorkerRecord) {
    let ann = try await lab.worker("a", account: "ann")
    let bob = try await lab.worker("b", account: "bob")
    for day in days {
      let now = Self.start.adding(seconds: day * 86_400)
      _ = try await lab.runningBatch(lines: 3, now: now)
      try await lab.drain([ann, bob], now: now)
    }
    return (ann, bob)
  }

  @Test(
    "history by day adds up to the totals, for everyone, an account, a team, a worker",
    arguments: StoreKind.allCases)
  func history(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let (ann, _) = try await compute(lab, on: [0, 1, 3])
      let now = Self.start.adding(seconds: 3 * 86_400 + 60)
      _ = try await lab.store.changeAccount(
        named: "bob", AccountChange(team: "Engines"), now: now)
      let totals = try await lab.store.statistics(now: now)
      func history(_ scope: HistoryScope) async throws -> [DayContribution] {
        try await lab.store.history(
          of: scope, from: Self.today, through: Self.today.adding(days: 9))
      }
      let all = try await history(.everyone)
      #expect(all.map(\.day) == [0, 1, 3].map { Self.today.adding(days: $0) })
      #expect(all.reduce(0) { $0 + $1.accepted } == totals.totals.accepted)
      #expect(all.reduce(0) { $0 + $1.tokens } == totals.totals.tokens)
      #expect(
        abs(all.reduce(0) { $0 + $1.credit.value } - totals.totals.credit) < 1e-9)
      let own = try await history(.worker(id: ann.id))
      #expect(own.reduce(0) { $0 + $1.accepted } == totals.totals.accepted / 2)
      #expect(try await history(.account(id: ann.accountID)) == own)
      let team = try #require(totals.teams.first)
      #expect(team.name == "Engines" && team.members == 1)
      #expect(try await history(.team(id: team.id)).map(\.day) == all.map(\.day))
      #expect(team.contribution.accepted == totals.totals.accepted / 2)
      let part = try await lab.store.history(
        of: .everyone, from: Self.today.adding(days: 1), through: Self.today.adding(days: 2))
      #expect(part == [all[1]])
    }
  }

  @Test("streaks and badges follow from the days with results", arguments: StoreKind.allCases)
  func streaks(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await compute(lab, on: [0, 1, 2, 3, 4, 5, 6, 10])
      func ann(day: Int) async throws -> StatisticsSnapshot.Account {
        try #require(
          try await lab.store.statistics(now: Self.start.adding(seconds: day * 86_400)).accounts
            .first { $0.name == "ann" })
      }
      let later = try await ann(day: 11)
      #expect(later.streakDays == 1 && later.longestStreakDays == 7)
      #expect(later.badges.map(\.name) == ["first_result", "streak_7"])
      #expect(try await ann(day: 12).streakDays == 0)
    }
  }

  @Test("only who agreed is exported; totals count everyone", arguments: StoreKind.allCases)
  func consent(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let (ann, bob) = try await compute(lab, on: [0])
      let now = Self.start.adding(seconds: 60)
      var export = try await lab.store.export(now: now)
      #expect(export.accounts.isEmpty && export.accountsTotal == 2)
      #expect(export.workers.map(\.account) == [nil, nil])
      #expect(export.credit.micro > 0)
      let profile = try await lab.store.changeAccount(
        named: "ann", AccountChange(isNamed: true, team: "Engines", url: "https://example.org"),
        now: now)
      #expect(profile.isNamed && profile.team == "Engines")
      _ = try await lab.store.changeAccount(
        named: "bob", AccountChange(team: "engines"), now: now)
      export = try await lab.store.export(now: now)
      let account = try #require(export.accounts.first)
      #expect(export.accounts.count == 1 && account.name == "ann")
      #expect(export.workers.first { $0.id == ann.id }?.account == account.number)
      #expect(export.workers.first { $0.id == bob.id }?.account == nil)
      // Capital letters make no other team; its credit counts members that are not public.
      #expect(export.teams.count == 1)
      #expect(export.teams.first?.standing.credit == export.credit)
      #expect(export.teams.first?.founderName == "ann")
      // A team that all have left has no credit, and is not listed.
      for name in ["ann", "bob"] {
        _ = try await lab.store.changeAccount(
          named: name, AccountChange(team: "Difference"), now: now)
      }
      export = try await lab.store.export(now: now)
      #expect(export.teams.map(\.name) == ["Difference"] && export.teamsTotal == 1)
    }
  }

  @Test(
    "a deleted account loses its name, its machines and its invitations, and no credit is lost",
    arguments: StoreKind.allCases)
  func deletion(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let (ann, _) = try await compute(lab, on: [0])
      let now = Self.start.adding(seconds: 60)
      let before = try await lab.store.statistics(now: now).totals
      try await lab.store.deleteAccount(named: "ann", now: now)
      let after = try await lab.store.statistics(now: now)
      #expect(after.totals == before)
      #expect(after.accounts.map(\.name) == ["bob"])
      #expect(!after.workers.contains { $0.id == ann.id })
      let fleet = try await lab.store.fleet(now: now)
      #expect(fleet.accounts.map(\.name) == ["bob"])
      #expect(!fleet.workers.contains { $0.id == ann.id })
      let export = try await lab.store.export(now: now)
      #expect(export.deletedAccounts.count == 1 && export.deletedWorkers.count == 1)
      await #expect {
        try await lab.store.deleteAccount(named: "ann", now: now)
      } throws: { ($0 as? StoreError)?.code == .notFound }
      // The name is free again, for another account.
      #expect(try await lab.worker("n", account: "ann").accountID != ann.accountID)
    }
  }

  @Test(
    "energy counts for accepted results alone, once, and as far as a machine can have used it",
    arguments: StoreKind.allCases)
  func energy(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.runningBatch(lines: 3)
      let ann = try await lab.worker("a", account: "ann")
      let bob = try await lab.worker("b", account: "bob")
      let liar = try await lab.worker("l", account: "mallory")
      let now = Self.start.adding(seconds: 10)
      func joules() async throws -> [Double] {
        let snapshot = try await lab.store.statistics(now: now)
        let days = try await lab.store.history(of: .everyone, from: Self.today, through: Self.today)
        #expect(days.reduce(0) { $0 + $1.energyJoules } == snapshot.totals.energyJoules)
        #expect(
          days.reduce(0) { $0 + $1.estimatedEnergyJoules } == snapshot.totals.estimatedEnergyJoules)
        return [snapshot.totals.energyJoules, snapshot.totals.estimatedEnergyJoules]
      }
      let first = try #require(try await lab.lease(ann).first)
      for joules in [20.5, 99] {  // What is sent again counts for nothing.
        try await lab.submit(
          first, by: ann, energy: EnergyClaim(joules: joules, isEstimated: true), now: now)
      }
      #expect(try await joules() == [0, 0])
      let wrong = try #require(try await lab.lease(liar).first)
      try await lab.submit(
        wrong, by: liar, lyingAs: "l", energy: EnergyClaim(joules: 40, isEstimated: false),
        now: now)
      #expect(try await joules() == [0, 0])
      try await lab.replayAll(now: now)
      #expect(try await joules() == [20.5, 20.5])
      // More than 10 kW for the ten seconds since the lease.
      _ = try await lab.runningBatch(lines: 3, now: Self.start.adding(seconds: 1))
      for (worker, joules) in [(ann, 100_001), (bob, 2.25)] {
        let lease = try #require(
          try await lab.lease(worker, now: Self.start.adding(seconds: 1)).first)
        try await lab.submit(
          lease, by: worker, energy: EnergyClaim(joules: joules, isEstimated: false),
          now: Self.start.adding(seconds: 11))
      }
      #expect(try await joules() == [22.75, 20.5])
      let snapshot = try await lab.store.statistics(now: now)
      #expect(snapshot.workers.first { $0.id == ann.id }?.contribution.energyJoules == 20.5)
      #expect(snapshot.accounts.first { $0.name == "bob" }?.contribution.energyJoules == 2.25)
      try await lab.store.deleteAccount(named: "ann", now: now)
      #expect(try await joules() == [22.75, 20.5])
    }
  }

  @Test(
    "a name that looks like another team's is refused, its own spelling is the team",
    arguments: StoreKind.allCases)
  func lookalikes(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      for name in ["ann", "bob"] { _ = try await lab.worker(name, account: name) }
      func join(_ team: String) async throws -> String? {
        try await lab.store.changeAccount(
          named: "bob", AccountChange(team: team), now: Self.start
        ).team
      }
      _ = try await lab.store.changeAccount(
        named: "ann", AccountChange(team: "Café Engines"), now: Self.start)
      for other in ["Café Еngines", "Café Eng1nes", "Café Ｅngines", "\u{2009}CAFÉ Engιnes"] {
        await #expect { try await join(other) } throws: {
          ($0 as? StoreError)?.code == .conflict && "\($0)".contains("Café Engines")
        }
      }
      #expect(try await join("  Cafe\u{301}  Engines ") == "Café Engines")
      #expect(try await join("Cafe Engines") == "Cafe Engines")
    }
  }

  @Test(
    "teams cannot pile up: one ends with its last member, and an owner makes one a minute",
    arguments: StoreKind.allCases)
  func manyTeams(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      for name in ["ann", "bob"] { _ = try await lab.worker(name, account: name) }
      func join(_ team: String, _ name: String = "ann", at seconds: Int) async throws {
        _ = try await lab.store.changeAccount(
          named: name,
          AccountChange(team: team, teamPauseSeconds: AccountChange.ownersTeamPauseSeconds),
          now: Self.start.adding(seconds: seconds))
      }
      func teams() async throws -> [String] {
        try await lab.store.statistics(now: Self.start).teams.map(\.name)
      }
      try await join("0", at: 0)
      try await join("0", "bob", at: 0)
      for seconds in 1...59 {
        await #expect { try await join("\(seconds)", at: seconds) } throws: {
          ($0 as? StoreError)?.code == .tooSoon
        }
        // Leaving, and what is so already, is always possible.
        try await join("0", "bob", at: seconds)
        try await join("", at: seconds)
      }
      for minute in 1...50 { try await join("team \(minute)", at: 60 * minute) }
      #expect(try await teams() == ["0", "team 50"])
      try await join("", "bob", at: 3600)
      #expect(try await teams() == ["team 50"])
      try await lab.store.deleteAccount(named: "ann", now: Self.start)
      #expect(try await teams() == [])
    }
  }

  @Test("what would break a page or a file is refused", arguments: StoreKind.allCases)
  func bounds(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      _ = try await lab.worker("a", account: "ann")
      for change in [
        AccountChange(team: String(repeating: "x", count: 255)), AccountChange(country: "a\nb"),
        AccountChange(team: "a" + String(repeating: "\u{301}", count: 8000)),
        AccountChange(team: "Team\u{202e}eman"), AccountChange(team: "\u{200b}Engines"),
        AccountChange(url: "https://example.org/\u{202e}gpj.x"), AccountChange(email: "a\0@b"),
        AccountChange(url: "javascript:alert(1)"),
      ] {
        await #expect {
          try await lab.store.changeAccount(named: "ann", change, now: Self.start)
        } throws: { ($0 as? StoreError)?.code == .invalid }
      }
    }
  }

  @Test("gauges count what waits and runs", arguments: StoreKind.allCases)
  func gauges(kind: StoreKind) async throws {
    try await kind.withLaboratory { lab async throws in
      let ann = try await lab.worker("a", account: "ann")
      _ = try await lab.runningBatch(lines: 10)
      let leases = try await lab.lease(ann)
      let gauges = try await lab.store.gauges(now: Self.start.adding(seconds: 30))
      #expect(gauges.runningLeases == leases.count && gauges.units["open"] == 1)
      #expect(gauges.batches == ["in_progress": 1] && gauges.fineTuningJobs.isEmpty)
      #expect(gauges.waitingRequests + 4 == 10)
      #expect(gauges.missingReplicas == 1)
      #expect(gauges.workers == 1 && gauges.activeWorkers == 1)
      #expect(gauges.oldestBatchSeconds == 30)
    }
  }
}
