import CoordinatorCore
import CoordinatorStore

/// `GET /stats/history`: what was contributed on each day of UTC on which there was something.
package struct HistoryObject: Encodable, Hashable, Sendable {
  package struct Entry: Encodable, Hashable, Sendable {
    /// `2026-11-24`.
    package var day: String
    package var accepted: Int
    package var rejected: Int
    package var tokens: Int
    package var credit: Double
  }

  package let object = "tally.history"
  package var days: [Entry]

  package init(_ history: [DayContribution]) {
    days = history.map {
      Entry(
        day: $0.day.spelled, accepted: $0.accepted, rejected: $0.rejected, tokens: $0.tokens,
        credit: $0.credit.value)
    }
  }
}
