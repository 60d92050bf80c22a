import Logging
import WireProtocol
import WorkerCore

// What the worker and its account have contributed, for the machine's owner.
extension WorkerLoop {
  /// Asks the coordinator; an answer that does not come is asked for again another time.
  func askStanding() async {
    guard let client else { return }
    do {
      let body = try await client.get(WorkerRoute.standing)
      let note = StandingNote(
        standing: try CoordinatorClient.decode(Standing.self, from: body),
        takenAt: equipment.clock.unixSeconds())
      standing = note
      try StandingFile(in: equipment.folder).save(note)
      report()
    } catch {
      equipment.logger.debug("standing not known", metadata: ["error": "\(error)"])
    }
  }
}
