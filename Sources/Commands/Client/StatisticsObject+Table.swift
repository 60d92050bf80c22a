import APIObjects

extension StatisticsObject.Numbers {
  var energy: String { Spelled.energy(energyJoules, estimated: energyEstimatedJoules) }
}

extension StatisticsObject {
  /// A row for each account, then its workers below it.
  func table() -> TextTable {
    var table = TextTable(
      .text("CONTRIBUTOR"), .number("RESULTS"), .number("REJECTED"), .number("TOKENS"),
      .number("CREDIT"), .number("PER DAY"), .number("KWH"))
    func add(_ name: String, _ contribution: Numbers) {
      table.add(
        name, Spelled.count(contribution.accepted), Spelled.count(contribution.rejected),
        Spelled.count(contribution.tokens), Spelled.credit(contribution.credit),
        Spelled.credit(contribution.recentAverageCredit), contribution.energy)
    }
    for account in accounts {
      add(account.name, account.contribution)
      for worker in workers where worker.accountID == account.id {
        add("  " + worker.name + (worker.trusted ? " (trusted)" : ""), worker.contribution)
      }
    }
    add("total", totals)
    return table
  }

  /// How many contribute unnamed; nil when nobody does.
  var unnamed: String? {
    let accounts = accountsTotal - accounts.count
    guard accounts > 0 else { return nil }
    return
      "\(Spelled.count(accounts)) account\(accounts == 1 ? "" : "s") not named here count in the "
      + "total."
  }

  /// A row for each team.
  func teamTable() -> TextTable {
    var table = TextTable(
      .text("TEAM"), .number("MEMBERS"), .number("RESULTS"), .number("TOKENS"), .number("CREDIT"),
      .number("PER DAY"), .number("KWH"))
    for team in teams {
      table.add(
        team.name, Spelled.count(team.members), Spelled.count(team.contribution.accepted),
        Spelled.count(team.contribution.tokens), Spelled.credit(team.contribution.credit),
        Spelled.credit(team.contribution.recentAverageCredit), team.contribution.energy)
    }
    return table
  }
}
