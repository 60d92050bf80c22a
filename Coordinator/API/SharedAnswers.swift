import CoordinatorCore
import CoordinatorStore
import Hummingbird

/// What anybody may ask for, made once in a moment for all who ask.
package struct SharedAnswers: Sendable {
  /// Answers of which there are few.
  let responses: ShortCache<Response>
  /// Answers with the last days of a history, of which there may be thousands: they do not take the
  /// places of the few.
  let histories: ShortCache<Response>
  /// What those are cut from.
  let contributions: ShortCache<[DayContribution]>
  let rankings: ShortCache<Ranking>

  /// - Parameter interval: how long an answer serves others.
  package init(interval: Duration) {
    responses = ShortCache(interval: interval)
    histories = ShortCache(interval: interval)
    contributions = ShortCache(interval: interval)
    rankings = ShortCache(interval: interval)
  }
}

extension APIEnvironment {
  /// Accounts and teams as they stood a moment ago.
  package func ranking() async throws -> Ranking {
    try await shared.rankings.value(for: "") { [store, now] in
      try await store.ranking(now: now())
    }
  }

  /// Days that histories are read for; what is asked is cut from the shortest that has it.
  private static let readDays = [31, 366, 3660]

  /// What was contributed on the last `days` days, as it stood a moment ago.
  func history(of scope: HistoryScope, days: Int) async throws -> [DayContribution] {
    let today = Day(containing: now())
    let read = Self.readDays.first { $0 >= days } ?? days
    let history = try await shared.contributions.value(for: "\(scope.key) \(read)") { [store] in
      try await store.history(
        of: scope, from: today.adding(days: 1 - read), through: today)
    }
    let first = today.adding(days: 1 - days)
    return history.filter { $0.day >= first }
  }
}

extension HistoryScope {
  /// Equal for equal scopes alone.
  var key: String {
    switch self {
    case .everyone: "everyone"
    case .account(let id): "account \(id)"
    case .team(let id): "team \(id)"
    case .worker(let id): "worker \(id)"
    }
  }
}
