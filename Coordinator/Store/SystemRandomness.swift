import CoordinatorCore

extension Identifiers {
  /// Ids from the system's secure source.
  package static let system = Identifiers {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }
}

extension Lots {
  /// Lots from the system's secure source.
  package static let system = Lots {
    var generator = SystemRandomNumberGenerator()
    return generator.next()
  }
}

extension FleetDraw {
  /// Draws from the system's secure source.
  package static let system = FleetDraw(identifiers: .system, lots: .system)
}
