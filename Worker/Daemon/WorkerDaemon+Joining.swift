import Foundation
import WireProtocol
import WorkerCore

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
    // Damaged files are what joining again replaces.
    let present = try? Membership(in: folder)
    try present?.require(invitation, folder: configuration.dataFolder)
    return try await enrolling(configuration, folder, url: invitation.url) { enroller in
      let now = clock.unixSeconds()
      if let present, present.record.url != CoordinatorClient.spelled(invitation.url) {
        do {
          return try await enroller.move(
            present, to: invitation.url, isInvited: true, now: now)
        } catch let failure as RequestFailure where failure.isTurningAway {
          // The coordinator does not know the member any more; the invitation admits it anew.
        }
      }
      return try await enroller.enrol(invitation, now: now)
    }
  }

  /// Moves the membership of a worker that does not run to another address of its coordinator.
  ///
  /// - Throws: as `join`.
  package static func move(
    _ configuration: WorkerConfiguration, to url: String, clock: WorkerClock = .system()
  ) async throws -> Membership {
    let (folder, present) = try idleMember(configuration)
    return try await enrolling(configuration, folder, url: url) {
      try await $0.move(present, to: url, isInvited: false, now: clock.unixSeconds())
    }
  }

  /// Has the coordinator call a machine by another name whose worker does not run.
  ///
  /// - Throws: as `join`.
  package static func rename(
    _ configuration: WorkerConfiguration, to name: String, clock: WorkerClock = .system()
  ) async throws {
    let (folder, present) = try idleMember(configuration)
    var taken: String?
    _ = try await enrolling(configuration, folder, url: present.record.url) { enroller in
      let renewed = try await enroller.renew(present, as: name, now: clock.unixSeconds())
      taken = renewed.name
      return renewed.membership
    }
    guard taken != nil else { throw WorkerLoop.noRenaming }
  }

  private static func idleMember(
    _ configuration: WorkerConfiguration
  ) throws -> (WorkerFolder, Membership) {
    guard let member = try membership(in: configuration.dataFolder) else {
      throw ConfigurationError.invitationNeeded
    }
    return (try WorkerFolder(configuration.dataFolder), member)
  }

  /// Stores what `body` gets from the coordinator at `url`.
  private static func enrolling(
    _ configuration: WorkerConfiguration, _ folder: WorkerFolder, url: String,
    _ body: (Enroller) async throws -> Membership
  ) async throws -> Membership {
    let lock = try folder.lock()
    defer { withExtendedLifetime(lock) {} }
    let environment = ProcessInfo.processInfo.environment
    let passphrase = try folder.passphrase(
      from: configuration.passphrase, environment: environment)
    let key = try folder.loadKey(passphrase: passphrase)
    let http = try CoordinatorClient.makeHTTPClient(for: url, environment: environment)
    let outcome: Result<Membership, any Error>
    do {
      let enroller = Enroller(http: http, key: key, workerName: configuration.workerName)
      outcome = .success(try await body(enroller))
    } catch {
      outcome = .failure(error)
    }
    try? await http.shutdown()
    let membership = try outcome.get()
    try membership.store(in: folder)
    return membership
  }
}

extension Membership {
  /// - Throws: `ConfigurationError.otherCoordinator` for an invitation to another address, unless
  ///   the same authority made it: a coordinator may move.
  func require(_ invitation: Invitation, folder: String) throws(ConfigurationError) {
    guard
      record.url == CoordinatorClient.spelled(invitation.url)
        || authorityFingerprint == invitation.authority
    else {
      throw .otherCoordinator(folder: folder, member: record.url, invitation: invitation.url)
    }
  }
}
