import CoordinatorAPI
import CoordinatorCore
import Foundation
import Logging
import NIOSSL
import ServiceLifecycle
import Synchronization
import UnixSignals
import X509

/// The certificate that the server shows: the operator's own, taken up again when its files change,
/// or one that the coordinator issues to itself and renews.
package final class ServerCertificate: Sendable {
  /// A certificate chain that goes with its key.
  struct Pair: Sendable {
    let chain: [NIOSSLCertificateSource]
    let key: NIOSSLPrivateKeySource
    /// When the server's own certificate, the chain's first, ends.
    let end: Timestamp

    var configuration: TLSConfiguration {
      .makeServerConfiguration(certificateChain: chain, privateKey: key)
    }
  }

  private struct State {
    var served: Pair
    var version: [FileVersion?]
  }

  /// Gives chain and key in PEM; changes them where that is its task.
  private let load: @Sendable () throws -> (chainPEM: String, keyPEM: String)
  private let files: [URL]
  private let state: Mutex<State>

  /// - Parameters:
  ///   - files: which `load` reads.
  ///   - load: gives chain and key in PEM.
  /// - Throws: `ServerError.invalidCertificate`; what `load` throws.
  package init(
    files: [URL], load: @escaping @Sendable () throws -> (chainPEM: String, keyPEM: String)
  ) throws {
    self.load = load
    self.files = files
    let version = files.map(FileVersion.init(of:))
    state = Mutex(State(served: try Self.pair(load(), files), version: version))
  }

  /// The operator's own certificate in two files.
  package convenience init(chainFile: URL, keyFile: URL) throws {
    @Sendable func text(_ file: URL) throws -> String {
      do {
        return try String(contentsOf: file, encoding: .utf8)
      } catch {
        throw ServerError.invalidCertificate(file.path, reason: "the file cannot be read")
      }
    }
    try self.init(files: [chainFile, keyFile]) { (try text(chainFile), try text(keyFile)) }
  }

  /// One that the folder's authority issues, and again before it ends.
  package convenience init(
    issuedIn folder: DataFolder, hosts: [String], clock: SteadyClock
  ) throws {
    try self.init(files: folder.serverCertificateFiles) {
      try folder.serverCertificate(
        hosts: hosts, now: clock.now().date, calendar: clock.calendarNow().date)
    }
  }

  /// What the next handshake shows.
  var served: Pair { state.withLock { $0.served } }

  /// The end of the certificate that the next handshake shows.
  package var end: Timestamp { served.end }

  /// Looks at the files again; true when another certificate is shown from now on.
  ///
  /// What cannot be used changes nothing: half of a pair may have been written.
  /// - Throws: `ServerError.invalidCertificate`; what reading or issuing throws. Not again before a
  ///   file changes.
  package func refresh() throws -> Bool {
    // Taken before the files are read, so that a change meanwhile is seen the next time.
    let version = files.map(FileVersion.init(of:))
    let before = state.withLock { state in
      defer { state.version = version }
      return state
    }
    let loaded = try load()
    let fresh = try Self.pair(loaded, files)
    guard fresh.chain != before.served.chain || fresh.key != before.served.key else { return false }
    state.withLock { $0.served = fresh }
    return true
  }

  /// Whether a file is not the one that was read last.
  var hasChanged: Bool {
    let version = files.map(FileVersion.init(of:))
    return state.withLock { $0.version != version }
  }

  private static func pair(
    _ text: (chainPEM: String, keyPEM: String), _ files: [URL]
  ) throws -> Pair {
    let (chainName, keyName) = (files.first?.path ?? "", files.last?.path ?? "")
    guard let chain = try? NIOSSLCertificate.fromPEMBytes(Array(text.chainPEM.utf8)),
      let first = chain.first, let leaf = try? Certificate(derEncoded: first.toDERBytes())
    else {
      throw ServerError.invalidCertificate(
        chainName, reason: "this is no whole certificate chain in PEM")
    }
    guard let key = try? NIOSSLPrivateKey(bytes: Array(text.keyPEM.utf8), format: .pem) else {
      throw ServerError.invalidCertificate(
        keyName, reason: "this is no whole private key in PEM without a password")
    }
    let pair = Pair(
      chain: chain.map { .certificate($0) }, key: .privateKey(key),
      end: Timestamp(seconds: Int(leaf.notValidAfter.timeIntervalSince1970)))
    guard (try? NIOSSLContext(configuration: pair.configuration)) != nil else {
      throw ServerError.invalidCertificate(
        keyName, reason: "this key does not belong to the certificate in \(chainName)")
    }
    return pair
  }
}

/// What tells a file from the one that was there before.
private struct FileVersion: Hashable, Sendable {
  let file: UInt64
  let bytes: Int64
  let seconds: Int
  let nanoseconds: Int

  /// Nil when there is no such file.
  init?(of url: URL) {
    var status = stat()
    guard stat(url.path, &status) == 0 else { return nil }
    file = UInt64(status.st_ino)
    bytes = Int64(status.st_size)
    seconds = status.st_mtim.tv_sec
    nanoseconds = status.st_mtim.tv_nsec
  }
}

/// Keeps the server's certificate up to date: looks at it every few seconds, and on SIGHUP.
struct CertificateService: Service {
  let certificate: ServerCertificate
  /// Whether the coordinator issues it itself, and so looks at the clock too.
  let isOwn: Bool
  let seconds: Int
  let logger: Logger

  func run() async throws {
    // True for a look that SIGHUP asks for.
    let (looks, tell) = AsyncStream.makeStream(of: Bool.self, bufferingPolicy: .bufferingNewest(16))
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask {
          for await _ in await UnixSignalsSequence(trapping: .sighup) { tell.yield(true) }
        }
        group.addTask {
          while (try? await Task.sleep(for: .seconds(seconds))) != nil { tell.yield(false) }
        }
        var failure: String?
        for await asked in looks where asked || isOwn || certificate.hasChanged {
          refresh(asked: asked, &failure)
        }
        group.cancelAll()
      }
    }
  }

  /// - Parameter failure: what was logged last; the same is not logged again unless somebody asked.
  private func refresh(asked: Bool, _ failure: inout String?) {
    do {
      let isNew = try certificate.refresh()
      failure = nil
      if isNew {
        logger.notice(
          "the server shows a new certificate",
          metadata: ["ends": "\(certificate.end.date.ISO8601Format())"])
      } else if asked {
        logger.notice("the server's certificate is the same as before")
      }
    } catch {
      let words = "\(error)"
      defer { failure = words }
      guard asked || words != failure else { return }
      logger.error(
        "the server's new certificate cannot be used, so the one before is shown",
        metadata: ["error": "\(words)"])
    }
  }
}
