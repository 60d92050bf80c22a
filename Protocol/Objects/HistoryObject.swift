/// `GET /stats/history`: what was contributed on each day of UTC on which there was something.
package struct HistoryObject: Codable, Hashable, Sendable {
  package struct Entry: Codable, Hashable, Sendable {
    /// `2026-11-24`.
    package var day: String
    package var accepted: Int
    package var rejected: Int
    package var tokens: Int
    package var credit: Double
    /// What workers say that accepted results took, and the part of it that they estimated; nil
    /// from coordinators that do not say.
    @Nullable package var energyJoules: Double?
    @Nullable package var energyEstimatedJoules: Double?

    package init(
      day: String, accepted: Int, rejected: Int, tokens: Int, credit: Double, energyJoules: Double?,
      energyEstimatedJoules: Double?
    ) {
      self.day = day
      self.accepted = accepted
      self.rejected = rejected
      self.tokens = tokens
      self.credit = credit
      self.energyJoules = energyJoules
      self.energyEstimatedJoules = energyEstimatedJoules
    }

    private enum CodingKeys: String, CodingKey {
      case day, accepted, rejected, tokens, credit
      case energyJoules = "energy_joules"
      case energyEstimatedJoules = "energy_estimated_joules"
    }
  }

  package private(set) var object = "tally.history"
  package var days: [Entry]

  package init(days: [Entry]) {
    self.days = days
  }
}
