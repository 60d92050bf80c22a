import WireProtocol

extension Fleet {
  /// Everything that BOINC's statistics files say.
  package func export(at time: Timestamp) -> StatisticsExport {
    let people = accounts.rows.values.sorted { $0.number < $1.number }
    let machines = workers.rows.values.sorted { $0.number < $1.number }
    let credited = people.filter { $0.tally.credit.micro > 0 }
    return StatisticsExport(
      takenAt: time, accounts: credited.filter(\.isNamed).map(exported),
      teams: teams.sorted.compactMap { exported($0, at: time) },
      workers: machines.filter { $0.tally.credit.micro > 0 && $0.deletedAt == nil }.map(exported),
      deletedAccounts: people.filter { $0.deletedAt != nil }.map {
        StatisticsExport.Deleted(number: $0.number, key: $0.crossProjectID)
      },
      deletedWorkers: machines.filter { $0.deletedAt != nil }.map {
        StatisticsExport.Deleted(number: $0.number, key: $0.id)
      },
      accountsTotal: credited.count, teamsTotal: Set(credited.compactMap(\.team)).count,
      workersTotal: machines.count { $0.tally.credit.micro > 0 },
      credit: Credit(micro: people.reduce(0) { $0 + $1.tally.credit.micro }))
  }

  private func exported(_ row: AccountRow) -> StatisticsExport.Account {
    StatisticsExport.Account(
      number: row.number, name: row.name, createdAt: row.createdAt,
      standing: StatisticsExport.Standing(credit: row.tally.credit, average: row.tally.average),
      crossProjectID: row.crossProjectID, email: row.email, country: row.country, url: row.url,
      team: row.team)
  }

  /// Nil for a team whose members have no credit, as accounts and machines are listed that have
  /// some.
  private func exported(_ row: TeamRow, at time: Timestamp) -> StatisticsExport.Team? {
    guard let founder = accounts[row.founder] else { return nil }
    let members = index.people.membersOfTeam[row.id].compactMap { accounts[$0] }
      .sorted { $0.number < $1.number }
    let credit = Credit(micro: members.reduce(0) { $0 + $1.tally.credit.micro })
    guard credit.micro > 0 else { return nil }
    return StatisticsExport.Team(
      id: row.id, name: row.name, founder: founder.number,
      founderName: founder.isNamed ? founder.name : nil, createdAt: row.createdAt,
      standing: StatisticsExport.Standing(
        credit: credit,
        average: RecentAverage(
          value: members.reduce(0) { $0 + $1.tally.average.value(at: time) }, time: time)))
  }

  private func exported(_ row: WorkerRow) -> StatisticsExport.Worker {
    let account = accounts[row.account]
    let isNamed = account?.isNamed == true
    return StatisticsExport.Worker(
      number: row.number, id: row.id, account: isNamed ? account?.number : nil,
      createdAt: row.createdAt, lastSeen: row.lastSeen,
      standing: StatisticsExport.Standing(credit: row.tally.credit, average: row.tally.average),
      flopsPerSecond: row.speed,
      turnaroundSeconds: row.results > 0 ? row.turnaroundSeconds / Double(row.results) : 0,
      machine: isNamed ? row.machine : nil)
  }
}
