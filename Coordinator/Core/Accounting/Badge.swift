/// What an account is honoured for. A badge is never taken away again: all of what it asks for only
/// grows.
package struct Badge: Hashable, Sendable {
  /// What a badge asks for.
  package enum Demand: Hashable, Sendable {
    case results(Int)
    case tokens(Int)
    /// Days in a row.
    case streak(Int)
  }

  /// Never changes once it was published; BOINC's statistics name badges by number.
  package let id: Int
  package let name: String
  /// For people.
  package let title: String
  package let demand: Demand

  /// All there are, in the order in which pages show them.
  package static let all: [Badge] = [
    Badge(id: 1, name: "first_result", title: "First verified result", demand: .results(1)),
    Badge(id: 2, name: "results_1000", title: "1,000 verified results", demand: .results(1_000)),
    Badge(
      id: 3, name: "results_100000", title: "100,000 verified results", demand: .results(100_000)),
    Badge(id: 4, name: "tokens_1m", title: "A million tokens", demand: .tokens(1_000_000)),
    Badge(id: 5, name: "tokens_1g", title: "A billion tokens", demand: .tokens(1_000_000_000)),
    Badge(id: 6, name: "streak_7", title: "A week without a gap", demand: .streak(7)),
    Badge(id: 7, name: "streak_30", title: "30 days without a gap", demand: .streak(30)),
    Badge(id: 8, name: "streak_365", title: "A year without a gap", demand: .streak(365)),
  ]

  /// Those that an account has earned.
  ///
  /// - Parameters:
  ///   - results: accepted ones.
  ///   - longestStreak: in days.
  package static func earned(results: Int, tokens: Int, longestStreak: Int) -> [Badge] {
    all.filter { badge in
      switch badge.demand {
      case .results(let count): results >= count
      case .tokens(let count): tokens >= count
      case .streak(let days): longestStreak >= days
      }
    }
  }
}
