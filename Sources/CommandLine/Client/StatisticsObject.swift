/// `GET /stats`.
struct StatisticsObject: Decodable, Sendable {
  struct Contribution: Decodable, Sendable {
    let accepted: Int
    let rejected: Int
    let tokens: Int
    let credit: Double
    let recent_average_credit: Double
  }
  struct Account: Decodable, Sendable {
    let id: String
    let name: String
    let workers: Int
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
  let accounts: [Account]
  let workers: [Worker]

  /// A row for each account, then its workers below it.
  func table() -> TextTable {
    var table = TextTable(
      .text("CONTRIBUTOR"), .number("RESULTS"), .number("REJECTED"), .number("TOKENS"),
      .number("CREDIT"), .number("PER DAY"))
    func add(_ name: String, _ contribution: Contribution) {
      table.add(
        name, Spelled.count(contribution.accepted), Spelled.count(contribution.rejected),
        Spelled.count(contribution.tokens), Spelled.credit(contribution.credit),
        Spelled.credit(contribution.recent_average_credit))
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
}
