/// Energy in thousandths of a joule, so that sums are exact. It is what workers say of themselves:
/// shown to people, never part of credit or of any decision.
package struct Energy: Hashable, Sendable {
  package var millijoules: Int64
  /// The part of them that was estimated from busy processors rather than measured.
  package var estimatedMillijoules: Int64

  package init(millijoules: Int64 = 0, estimatedMillijoules: Int64 = 0) {
    self.millijoules = millijoules
    self.estimatedMillijoules = estimatedMillijoules
  }

  package var joules: Double { Double(millijoules) / 1000 }
  package var estimatedJoules: Double { Double(estimatedMillijoules) / 1000 }
}

/// What a worker says that one result took.
package struct EnergyClaim: Hashable, Sendable {
  /// More than any one machine draws: whoever claims more is not believed.
  package static let highestWatts = 10_000.0

  package var joules: Double
  package var isEstimated: Bool

  package init(joules: Double, isEstimated: Bool) {
    self.joules = joules
    self.isEstimated = isEstimated
  }

  /// What is counted of it.
  ///
  /// - Parameter seconds: since the unit was leased.
  /// - Returns: nil for what no machine can have used in that time; the result is as good as any.
  package func counted(elapsed seconds: Double) -> Energy? {
    guard joules.isFinite, joules >= 0, joules <= Self.highestWatts * max(0, seconds),
      let millijoules = Int64(exactly: (joules * 1000).rounded())
    else { return nil }
    return Energy(
      millijoules: millijoules, estimatedMillijoules: isEstimated ? millijoules : 0)
  }
}
