import CoordinatorCore
import GRDB

extension Database {
  func loadPeople(into set: inout WorkingSet) throws {}
  func loadClients(into set: inout WorkingSet) throws {}
  func loadSettings(into set: inout WorkingSet) throws {}
  func writePeople(_ changes: FleetChanges) throws {}
  func writeClients(_ changes: FleetChanges) throws {}
  func writeSettings(_ changes: FleetChanges) throws {}
}

extension Migrations {
  static let fleetPeople = ""
}
