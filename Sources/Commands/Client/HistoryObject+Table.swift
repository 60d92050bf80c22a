import APIObjects

extension HistoryObject {
  /// A row for each day, and their sum.
  func table() -> TextTable {
    var table = TextTable(
      .text("DAY"), .number("RESULTS"), .number("REJECTED"), .number("TOKENS"), .number("CREDIT"),
      .number("KWH"))
    func add(
      _ name: String, _ accepted: Int, _ rejected: Int, _ tokens: Int, _ credit: Double,
      _ joules: Double?, _ estimated: Double?
    ) {
      table.add(
        name, Spelled.count(accepted), Spelled.count(rejected), Spelled.count(tokens),
        Spelled.credit(credit), Spelled.energy(joules, estimated: estimated))
    }
    for one in days {
      add(
        one.day, one.accepted, one.rejected, one.tokens, one.credit, one.energyJoules,
        one.energyEstimatedJoules)
    }
    add(
      "total", days.reduce(0) { $0 + $1.accepted }, days.reduce(0) { $0 + $1.rejected },
      days.reduce(0) { $0 + $1.tokens }, days.reduce(0) { $0 + $1.credit },
      days.reduce(0) { $0 + ($1.energyJoules ?? 0) },
      days.reduce(0) { $0 + ($1.energyEstimatedJoules ?? 0) })
    return table
  }
}
