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
    /// What workers say that accepted results took, and the part of it that they estimated.
    package var energyJoules: Double
    package var energyEstimatedJoules: Double

    private enum CodingKeys: String, CodingKey {
      case day, accepted, rejected, tokens, credit
      case energyJoules = "energy_joules"
      case energyEstimatedJoules = "energy_estimated_joules"
    }
  }

  package let object = "tally.history"
  package var days: [Entry]

  package init(_ history: [DayContribution]) {
    days = history.map {
      Entry(
        day: $0.day.spelled, accepted: $0.accepted, rejected: $0.rejected, tokens: $0.tokens,
        credit: $0.credit.value, energyJoules: $0.energyJoules,
        energyEstimatedJoules: $0.estimatedEnergyJoules)
    }
  }
}
