import Foundation
import Glibc
import WireProtocol

/// The worker's data folder, entered by its owner alone:
///
///     worker.json      who the worker is and where its coordinator is; written last, so it
///                      marks a finished enrolment
///     key.pem          the private key, encrypted PKCS#8
///     key.passphrase   what it is encrypted with, unless the passphrase comes from elsewhere
///     client.pem       the client certificate          ca.pem    the coordinator's CA
///     results/         finished results until the coordinator has answered for them
///     units/           what held units have finished, until they have a result
///     cache/           blobs, packed models            lock      held while a worker runs
///     preferences.json what the owner allows           paused.json   that the owner paused it
///     choices.json     which work the owner chose
///     traffic.json     what was transferred in each month
///     energy.json      what computing took on each day
///     log/             the last megabytes of what the worker told of itself
///     standing.json    what worker and account had contributed when the coordinator was last asked
///     control          the socket for the owner's commands, while a worker runs
package struct WorkerFolder: Sendable {
  package let path: String

  /// Makes the folder and its parts where they are missing.
  package init(_ path: String) throws {
    self.path = path
    try DurableFile.makeFolder(path)
    guard chmod(path, 0o700) == 0 else { throw FileError(doing: "closing to others", path: path) }
    for folder in [results, units, cache, path + "/log"] { try DurableFile.makeFolder(folder) }
  }

  package var record: String { path + "/worker.json" }
  package var key: String { path + "/key.pem" }
  package var passphrase: String { path + "/key.passphrase" }
  package var certificate: String { path + "/client.pem" }
  package var authority: String { path + "/ca.pem" }
  package var results: String { path + "/results" }
  package var units: String { path + "/units" }
  package var log: String { path + "/log/worker.log" }
  package var cache: String { path + "/cache" }
  package var traffic: String { path + "/traffic.json" }
  package var energy: String { path + "/energy.json" }

  /// Keeps a second worker out of the folder until the result goes away.
  package func lock() throws -> FolderLock {
    let path = path + "/lock"
    let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw FileError(doing: "opening", path: path) }
    guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
      close(file)
      throw FileError(
        doing: "locking", path: path, reason: "another worker runs with this data folder")
    }
    return FolderLock(file: file)
  }

  /// The passphrase of the key file: see `PassphraseSource`. Throws when a file that holds one can
  /// be read by others.
  package func passphrase(
    from source: PassphraseSource, environment: [String: String]
  ) throws -> Passphrase {
    switch source {
    case .file(let path): return try readPassphrase(path)
    case .automatic: break
    }
    if let folder = environment["CREDENTIALS_DIRECTORY"] {
      let credential = folder + "/tally-key-passphrase"
      // systemd keeps the folder itself closed to others.
      if DurableFile.size(credential) != nil {
        return try readPassphrase(credential, checked: false)
      }
    }
    if let text = environment["TALLY_KEY_PASSPHRASE"] {
      guard let passphrase = Passphrase(text) else {
        throw FileError(
          doing: "reading", path: "TALLY_KEY_PASSPHRASE", reason: "not 1 to 1,000 bytes")
      }
      return passphrase
    }
    if DurableFile.size(passphrase) == nil {
      guard DurableFile.size(key) == nil else {
        throw FileError(
          doing: "reading", path: passphrase,
          reason: "missing, but there is a key file that was encrypted with a passphrase")
      }
      var random = SystemRandomNumberGenerator()
      try DurableFile.write(Passphrase.random(using: &random) + "\n", to: passphrase)
    }
    return try readPassphrase(passphrase)
  }

  private func readPassphrase(_ path: String, checked: Bool = true) throws -> Passphrase {
    if checked { try Self.requirePrivate(path) }
    guard let data = try DurableFile.read(path, limitBytes: 4096),
      let passphrase = Passphrase(String(decoding: data, as: UTF8.self))
    else {
      throw FileError(
        doing: "reading the passphrase", path: path, reason: "missing, or not 1 to 1,000 bytes")
    }
    return passphrase
  }

  /// The worker's key, generated and stored where there is none.
  package func loadKey(passphrase: Passphrase) throws -> LibcryptoKey {
    if let data = try DurableFile.read(key) {
      try Self.requirePrivate(key)
      return try LibcryptoKey(
        encryptedPEM: String(decoding: data, as: UTF8.self), passphrase: passphrase)
    }
    let generated = try LibcryptoKey.generate()
    try DurableFile.write(generated.encryptedPEM(passphrase: passphrase), to: key)
    return generated
  }

  /// Throws unless only the owner can read the file.
  private static func requirePrivate(_ path: String) throws {
    var status = stat()
    guard stat(path, &status) == 0 else { throw FileError(doing: "reading", path: path) }
    guard status.st_mode & 0o077 == 0 else {
      throw FileError(
        doing: "reading", path: path, reason: "others can read it; run: chmod 600 '\(path)'")
    }
  }
}

/// Held while a worker runs; the system lets go of it when the process ends, however it ends.
package final class FolderLock: Sendable {
  private let file: Int32
  fileprivate init(file: Int32) { self.file = file }
  deinit { close(file) }
}
