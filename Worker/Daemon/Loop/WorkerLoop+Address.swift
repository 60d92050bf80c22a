import Logging
import WireProtocol
import WorkerCore

// Where the coordinator is, and what it calls this machine.
extension WorkerLoop {
  /// Bytes of the longest address that is kept.
  private static let longestAddress = 1000

  /// Keeps the address that the coordinator announced over restarts: it may be gone by then.
  func noteAnnounced(_ url: String?) {
    guard var member = membership else { return }
    let next = url.map(CoordinatorClient.spelled).flatMap {
      $0 != member.record.url && $0.hasPrefix("https://") && $0.utf8.count <= Self.longestAddress
        ? $0 : nil
    }
    guard next != member.record.nextURL else { return }
    member.record.nextURL = next
    membership = member
    do {
      try member.storeRecord(in: equipment.folder)
      equipment.logger.notice(
        "the coordinator will move", metadata: ["to": "\(ForeignText.line(next) ?? "nowhere")"])
    } catch {
      equipment.logger.warning("announced address not stored", metadata: ["error": "\(error)"])
    }
  }

  /// Moves the membership to another address of the same coordinator, once it answers there.
  ///
  /// - Throws: `RequestFailure`.
  func move(to url: String) async throws(RequestFailure) {
    guard let membership else { throw Self.notJoined }
    let now = equipment.clock.unixSeconds()
    let member = try await enroller.move(
      membership, to: url, isInvited: url == nextAddress, now: now)
    let term = try take(member)
    tell.yield(.moved(term))
  }

  /// Has the coordinator call this machine by another name.
  ///
  /// - Throws: `RequestFailure`.
  func rename(to name: String) async throws(RequestFailure) {
    guard let membership else { throw Self.notJoined }
    let now = equipment.clock.unixSeconds()
    let (member, taken) = try await enroller.renew(membership, as: name, now: now)
    tell.yield(.renewed(try take(member)))
    guard taken != nil else { throw Self.noRenaming }
  }

  static let notJoined = RequestFailure.refused(
    status: 0, code: nil, message: "this worker has not joined a coordinator yet")
  static let noRenaming = RequestFailure.refused(
    status: 0, code: nil,
    message: "the coordinator's program is older: it keeps the name that the machine joined with")
}
