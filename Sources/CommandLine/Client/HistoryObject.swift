/// `GET /stats/history`.
struct HistoryObject: Decodable, Sendable {
  struct Entry: Decodable, Sendable {
    let day: String
    let accepted: Int
    let rejected: Int
    let tokens: Int
    let credit: Double
  }
  let days: [Entry]

  /// A row for each day, and their sum.
  func table() -> TextTable {
    var table = TextTable(
      .text("DAY"), .number("RESULTS"), .number("REJECTED"), .number("TOKENS"), .number("CREDIT"))
    func add(_ name: String, _ accepted: Int, _ rejected: Int, _ tokens: Int, _ credit: Double) {
      table.add(
        name, Spelled.count(accepted), Spelled.count(rejected), Spelled.count(tokens),
        Spelled.credit(credit))
    }
    for one in days { add(one.day, one.accepted, one.rejected, one.tokens, one.credit) }
    add(
      "total", days.reduce(0) { $0 + $1.accepted }, days.reduce(0) { $0 + $1.rejected },
      days.reduce(0) { $0 + $1.tokens }, days.reduce(0) { $0 + $1.credit })
    return table
  }
}
