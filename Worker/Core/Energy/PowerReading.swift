/// The power that computing takes, of late.
package struct PowerReading: Hashable, Sendable {
  /// A look back of about so long.
  private static let memory = 5.0

  private var joules = 0.0
  private var seconds = 0.0

  package init() {}

  /// Takes what was used in the last so many seconds; what lies further back counts for less.
  package mutating func add(_ use: EnergyUse, seconds elapsed: Double) {
    guard elapsed > 0 else { return }
    let kept = Self.memory / (Self.memory + elapsed)
    joules = joules * kept + use.joules
    seconds = seconds * kept + elapsed
  }

  /// Nil in the first half second.
  package var watts: Double? { seconds >= 0.5 ? joules / seconds : nil }
}
