import CoordinatorCore
import CoordinatorStore

/// What accounts are ranked by.
package enum RankingOrder: String, CaseIterable, Sendable {
  case credit, average, tokens

  /// What counts of a contribution.
  package func value(_ contribution: Contribution) -> Double {
    switch self {
    case .credit: contribution.credit
    case .average: contribution.recentAverageCredit
    case .tokens: Double(contribution.tokens)
    }
  }
}

/// An account with its place among all of them.
package struct RankedAccount: Hashable, Sendable {
  /// 1 for the first; those with equal values share a place, and the next one counts them all.
  package var rank: Int
  package var account: StatisticsSnapshot.Account

  /// Everyone, also who is not named, by falling value and, where values are equal, by name.
  package static func all(
    _ accounts: [StatisticsSnapshot.Account], by order: RankingOrder
  ) -> [RankedAccount] {
    let sorted = accounts.sorted { left, right in
      let (first, second) = (order.value(left.contribution), order.value(right.contribution))
      return first == second
        ? (left.name, left.id) < (right.name, right.id) : first > second
    }
    let ranks = ranks(ofFalling: sorted.map { order.value($0.contribution) })
    return zip(ranks, sorted).map { RankedAccount(rank: $0, account: $1) }
  }

  /// Places of values that are sorted already.
  package static func ranks(ofFalling values: [Double]) -> [Int] {
    var ranks: [Int] = []
    for (index, value) in values.enumerated() {
      ranks.append(index > 0 && values[index - 1] == value ? ranks[index - 1] : index + 1)
    }
    return ranks
  }
}
