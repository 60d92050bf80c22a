import CoordinatorAPI
import CoordinatorCore
import CoordinatorStatistics
import CoordinatorStore
import Foundation
import NIOCore
import WireProtocol
import X509

/// A coordinator's folder, opened: database, blobs, authority.
///
/// Several processes may open the same folder; `lock` keeps all but one from serving it.
package struct DataFolder: Sendable {
  package let url: URL
  package let store: SQLiteStore
  package let blobs: FolderBlobStore
  package let authority: Authority

  private static let serverCertificateSeconds: TimeInterval = 397 * 86400
  private static let renewalSeconds: TimeInterval = 60 * 86400

  /// Opens a folder; makes what is missing: the folder, the authority, the tables.
  package init(
    opening url: URL, policy: CoordinatorPolicy = CoordinatorPolicy(), now: Date = Date()
  ) throws {
    try FileManager.default.createDirectory(
      at: url, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    // Also where it was there before: prompts, addresses and keys are its owner's alone.
    try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: url.path)
    try Self.closeDatabase(url.appendingPathComponent("coordinator.sqlite"))
    self.url = url
    blobs = try FolderBlobStore(folder: url.appendingPathComponent("blobs"))
    authority = try Self.authority(in: url, now: now)
    store = try SQLiteStore.open(
      path: url.appendingPathComponent("coordinator.sqlite").path, blobs: blobs, policy: policy)
  }

  /// Lets nobody but the owner read the database's files. SQLite gives those that it makes later
  /// the database's own permissions.
  private static func closeDatabase(_ database: URL) throws {
    let descriptor = open(database.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw CocoaError(.fileWriteNoPermission, userInfo: [NSFilePathErrorKey: database.path])
    }
    close(descriptor)
    for path in ["", "-wal", "-shm"].map({ database.path + $0 })
    where FileManager.default.fileExists(atPath: path) {
      try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
    }
  }

  /// What handlers and services work with.
  package func environment(
    limits: APILimits = APILimits(), diskGuard: DiskGuard = DiskGuard(),
    now: @escaping @Sendable () -> Timestamp = APIEnvironment.systemTime
  ) -> APIEnvironment {
    var environment = APIEnvironment(
      store: store, blobs: blobs, authority: authority,
      catalog: ModelCatalog(store: store, blobs: blobs), limits: limits, statistics: statistics,
      now: now)
    environment.diskGuard = diskGuard
    environment.policy = store.policy
    environment.freeDiskBytes = { [blobs] in blobs.freeBytes() }
    return environment
  }

  /// The time for commands beside the folder's coordinator: the system's, unless the coordinator
  /// does not believe that now, or would not when it starts.
  ///
  /// - Parameter calendar: what the system's clock says.
  package func now(
    calendar: Timestamp = APIEnvironment.systemTime()
  ) async throws -> Timestamp {
    try await store.keptClock()?.now(calendar: calendar) ?? calendar
  }

  /// BOINC's statistics files.
  package var statistics: StatisticsFolder {
    StatisticsFolder(url.appendingPathComponent("statistics"))
  }

  /// The key is written first: a certificate that is there has its key.
  private static func authority(in url: URL, now: Date) throws -> Authority {
    let certificate = PrivateFile(url.appendingPathComponent("ca.pem"))
    let key = PrivateFile(url.appendingPathComponent("ca.key.pem"))
    let lock = try FileLock(url.appendingPathComponent("ca.lock"), waiting: true)
    defer { lock.unlock() }
    if certificate.exists { return try stored(certificate, key) }
    let authority = try Authority(creatingAt: now)
    try key.write(authority.privateKeyPEM())
    try certificate.write(authority.certificatePEM())
    return authority
  }

  /// - Throws: `ServerError.file` that names the file which is damaged or missing, and the cure.
  private static func stored(_ certificate: PrivateFile, _ key: PrivateFile) throws -> Authority {
    guard key.exists else { throw damage(of: key, "it is missing") }
    do {
      return try Authority(
        certificatePEM: try certificate.readText(), privateKeyPEM: try key.readText())
    } catch CertificateRefusal.certificateMalformed {
      throw damage(of: certificate, "it is damaged, no certificate in PEM")
    } catch CertificateRefusal.keyMalformed {
      throw damage(of: key, "it is damaged, no P-256 key in PEM")
    } catch CertificateRefusal.keyDoesNotMatchCertificate {
      throw damage(of: key, "it is not the key of ca.pem")
    }
  }

  private static func damage(of file: PrivateFile, _ what: String) -> ServerError {
    .file(
      file.url.path,
      reason:
        "\(what). Put ca.pem and ca.key.pem back together from a backup (`tally admin backup` "
        + "copies both). Without one, move both away: a new authority is made, and every worker "
        + "has to join again with a new invitation")
  }

  /// The files of the certificate that the coordinator issues to itself, and of its key.
  var serverCertificateFiles: [URL] {
    [url.appendingPathComponent("server.pem"), url.appendingPathComponent("server.key.pem")]
  }

  /// The server's certificate and key in PEM, issued anew when a host is missing, the end is near,
  /// or it has not begun.
  ///
  /// - Parameters:
  ///   - now: the time that the coordinator goes by.
  ///   - calendar: what the system's clock says. After it jumped nobody knows which of both is
  ///     right, so the certificate is valid at both: clients look at clocks of their own.
  package func serverCertificate(
    hosts: [String], now: Date = Date(), calendar: Date? = nil
  ) throws -> (chainPEM: String, keyPEM: String) {
    let files = serverCertificateFiles.map(PrivateFile.init)
    let (certificate, key) = (files[0], files[1])
    let earliest = min(now, calendar ?? now)
    let latest = max(now, calendar ?? now)
    if certificate.exists, key.exists,
      let text = try? certificate.readText(), let keyText = try? key.readText(),
      (try? authority.isUsable(
        serverCertificatePEM: text, privateKeyPEM: keyText, hosts: hosts, from: earliest,
        until: latest.addingTimeInterval(Self.renewalSeconds))) == true
    {
      return (text, keyText)
    }
    let issued = try authority.issueServerCertificate(
      hosts: hosts, from: earliest, now: latest, validSeconds: Self.serverCertificateSeconds)
    try key.write(issued.privateKeyPEM)
    try certificate.write(issued.certificatePEM)
    return (issued.certificatePEM, issued.privateKeyPEM)
  }

  /// Makes this the one process that serves the folder until it ends.
  ///
  /// - Throws: `ServerError.alreadyRunning`.
  package func lock() throws -> FileLock {
    do {
      return try FileLock(url.appendingPathComponent("coordinator.lock"), waiting: false)
    } catch FileLock.Failure.taken {
      throw ServerError.alreadyRunning(url.path)
    }
  }
}

/// Why a coordinator cannot start.
package enum ServerError: Error, Hashable, CustomStringConvertible {
  case alreadyRunning(String)
  case invalidCertificate(String, reason: String)
  case cannotListen(host: String, port: Int, reason: String)
  case file(String, reason: String)

  package var description: String {
    switch self {
    case .alreadyRunning(let path): "another coordinator is running on \(path)"
    case .invalidCertificate(let path, let reason), .file(let path, let reason):
      "\(path): \(reason)"
    case .cannotListen(let host, let port, let reason):
      "cannot listen on \(host) port \(port): \(reason)"
    }
  }

  /// Nil for an error that is not about the address to listen on.
  init?(listening error: any Error, _ configuration: CoordinatorConfiguration) {
    let reason: String
    switch error {
    case let error as IOError where error.errnoCode == EADDRINUSE:
      reason =
        "another program listens there already (`ss -ltnp` names it); choose another --port, or "
        + "end it"
    case let error as IOError where error.errnoCode == EADDRNOTAVAIL:
      reason = "this machine has no such address; --host 0.0.0.0 listens on all"
    case let error as IOError where error.errnoCode == EACCES:
      reason = "ports below 1024 are for root; choose another --port"
    case is SocketAddressError: reason = "--host takes an address of this machine, or its name"
    default: return nil
    }
    self = .cannotListen(host: configuration.host, port: configuration.port, reason: reason)
  }
}
