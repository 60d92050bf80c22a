/// Energy that computing took, and how much of it was estimated.
package struct EnergyUse: Hashable, Sendable {
  package var joules: Double
  /// The part of `joules` that follows from busy processors and an assumed power.
  package var estimatedJoules: Double

  package init(joules: Double = 0, estimatedJoules: Double = 0) {
    self.joules = joules
    self.estimatedJoules = estimatedJoules
  }

  package var isEstimated: Bool { estimatedJoules > 0 }

  /// Both together.
  package static func + (left: EnergyUse, right: EnergyUse) -> EnergyUse {
    EnergyUse(
      joules: left.joules + right.joules,
      estimatedJoules: left.estimatedJoules + right.estimatedJoules)
  }

  /// Adds `right` to `left`.
  package static func += (left: inout EnergyUse, right: EnergyUse) { left = left + right }

  /// A part of it.
  package static func * (use: EnergyUse, share: Double) -> EnergyUse {
    EnergyUse(joules: use.joules * share, estimatedJoules: use.estimatedJoules * share)
  }
}

extension EnergyUse: Codable {
  private enum CodingKeys: String, CodingKey {
    case joules
    case estimatedJoules = "estimated_joules"
  }

  /// - Throws: `DecodingError`, also for what is no amount of energy.
  package init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    joules = try values.decode(Double.self, forKey: .joules)
    estimatedJoules = try values.decode(Double.self, forKey: .estimatedJoules)
    guard joules.isFinite, estimatedJoules >= 0, estimatedJoules <= joules else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: "no amount of energy"))
    }
  }
}
