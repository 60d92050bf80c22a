import Foundation
import WireProtocol

extension WorkerDaemon {
  /// Joins the coordinator of `configuration.invitation` without working for it: makes the folder
  /// and the key, gets a certificate, stores it.
  ///
  /// - Throws: `ConfigurationError` when there is no invitation or the folder belongs elsewhere;
  ///   `FileError` and `LibcryptoError` for a folder that cannot be used; `RequestFailure` with the
  ///   coordinator's words.
  package static func join(
    _ configuration: WorkerConfiguration, clock: WorkerClock = .system()
  ) async throws -> Membership {
    guard let invitation = configuration.invitation else {
      throw ConfigurationError.invitationNeeded
    }
    let folder = try WorkerFolder(configuration.dataFolder)
    let lock = try folder.lock()
    defer { withExtendedLifetime(lock) {} }
    if let member = try Membership(in: folder),
      member.record.url != CoordinatorClient.spelled(invitation.url)
    {
      throw ConfigurationError.otherCoordinator(
        folder: configuration.dataFolder, member: member.record.url, invitation: invitation.url)
    }
    let passphrase = try folder.passphrase(
      from: configuration.passphrase, environment: ProcessInfo.processInfo.environment)
    let key = try folder.loadKey(passphrase: passphrase)
    let http = try CoordinatorClient.makeHTTPClient(
      for: invitation.url, environment: ProcessInfo.processInfo.environment)
    let outcome: Result<Membership, any Error>
    do {
      let enroller = Enroller(http: http, key: key, workerName: configuration.workerName)
      outcome = .success(try await enroller.enrol(invitation, now: clock.unixSeconds()))
    } catch {
      outcome = .failure(error)
    }
    try? await http.shutdown()
    let membership = try outcome.get()
    try membership.store(in: folder)
    return membership
  }
}
