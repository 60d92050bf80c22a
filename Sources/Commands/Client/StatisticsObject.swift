/// `GET /stats`.
struct StatisticsObject: Decodable, Sendable {
  struct Contribution: Decodable, Sendable {
    let accepted: Int
    let rejected: Int
    let tokens: Int
    let credit: Double
    let recent_average_credit: Double
    // A coordinator that is older has none.
    let energy_joules: Double?
    let energy_estimated_joules: Double?

    var energy: String { Spelled.energy(energy_joules, estimated: energy_estimated_joules) }
  }
  struct Account: Decodable, Sendable {
    let id: String
    let name: String
    let team: String?
    let workers: Int
    let streak_days: Int
    let badges: [Badge]
    let contribution: Contribution
  }
  struct Badge: Decodable, Sendable {
    let title: String
  }
  struct Team: Decodable, Sendable {
    let name: String
    let members: Int
    let contribution: Contribution
  }
  struct Worker: Decodable, Sendable {
    let id: String
    let account_id: String
    let name: String
    let trusted: Bool
    let contribution: Contribution
  }
  let units_accepted: Int
  let requests_completed: Int
  let totals: Contribution
  let accounts_total: Int
  let workers_total: Int
  let teams: [Team]
  let accounts: [Account]
  let workers: [Worker]

  /// A row for each account, then its workers below it.
  func table() -> TextTable {
    var table = TextTable(
      .text("CONTRIBUTOR"), .number("RESULTS"), .number("REJECTED"), .number("TOKENS"),
      .number("CREDIT"), .number("PER DAY"), .number("KWH"))
    func add(_ name: String, _ contribution: Contribution) {
      table.add(
        name, Spelled.count(contribution.accepted), Spelled.count(contribution.rejected),
        Spelled.count(contribution.tokens), Spelled.credit(contribution.credit),
        Spelled.credit(contribution.recent_average_credit), contribution.energy)
    }
    for account in accounts {
      add(account.name, account.contribution)
      for worker in workers where worker.account_id == account.id {
        add("  " + worker.name + (worker.trusted ? " (trusted)" : ""), worker.contribution)
      }
    }
    add("total", totals)
    return table
  }

  /// How many contribute unnamed; nil when nobody does.
  var unnamed: String? {
    let accounts = accounts_total - accounts.count
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
        Spelled.credit(team.contribution.recent_average_credit), team.contribution.energy)
    }
    return table
  }
}
