import Logging
import WireProtocol

// What is on disk of the held units, for the start after a stop that nobody saw coming.
extension WorkerLoop {
  /// Stores a held unit. Without a file the unit is computed all the same.
  func remember(_ lease: Lease) {
    do {
      try equipment.checkpoints.begin(lease)
      checkpointed[lease.id] = lease
    } catch {
      equipment.logger.warning(
        "unit not stored", metadata: ["lease": "\(lease.id)", "error": "\(error)"])
    }
  }

  /// Removes what is stored of a unit that is not held any more.
  func forget(_ lease: Lease) {
    equipment.energy.forget(lease: lease.id)
    do {
      try equipment.checkpoints.remove(lease)
    } catch {
      // The next start asks the coordinator about it.
      equipment.logger.warning(
        "checkpoint not removed", metadata: ["lease": "\(lease.id)", "error": "\(error)"])
    }
  }
}
