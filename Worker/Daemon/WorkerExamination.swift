import AsyncHTTPClient
import Foundation
import Glibc
import NIOCore
import WireProtocol
import WorkerCore

/// What can be found out of a worker's folder and its way to the coordinator without working.
package struct WorkerExamination: Sendable {
  /// How a coordinator answered.
  package struct Answer: Sendable {
    package var coordinator: String
    package var seconds: Double
    /// This machine's clock less the coordinator's; nil where the answer had no time.
    package var clockAheadSeconds: Double?
    /// The proxy between, without secrets.
    package var proxy: String?
  }

  /// The disk under the folder.
  package struct Disk: Sendable {
    package var freeBytes: Int
    /// In bytes a second, with everything down on the disk.
    package var writeSpeed: Double
  }

  private let folder: WorkerFolder
  private let environment: [String: String]

  /// - Throws: `FileError` for a folder that is none of a worker.
  package init(_ path: String, environment: [String: String]) throws {
    guard FileManager.default.fileExists(atPath: path + "/key.pem") else {
      throw FileError(doing: "opening", path: path, reason: "no worker has joined here yet")
    }
    folder = try WorkerFolder(path)
    self.environment = environment
  }

  /// Who the worker is; nil before it has joined.
  package func membership() throws -> Membership? { try Membership(in: folder) }

  /// Asks the coordinator, as the worker does, whether it is there.
  ///
  /// - Throws: `RequestFailure`; `ProxyError`; `FileError` for keys that cannot be used.
  package func answer(of member: Membership) async throws -> Answer {
    let url = member.record.url
    let passphrase = try folder.passphrase(from: .automatic, environment: environment)
    let key = try folder.loadKey(passphrase: passphrase)
    let http = try CoordinatorClient.makeHTTPClient(for: url, environment: environment)
    let outcome: Result<Answer, any Error>
    do {
      outcome = .success(try await ask(CoordinatorClient(http: http, member, key: key), url))
    } catch {
      outcome = .failure(error)
    }
    try? await http.shutdown()
    return try outcome.get()
  }

  private func ask(_ client: CoordinatorClient, _ url: String) async throws -> Answer {
    let clock = ContinuousClock()
    let start = clock.now
    let response = try await client.open(client.request(.GET, "/readyz"), timeout: .seconds(20))
    let seconds = (clock.now - start) / .seconds(1)
    let now = Date()
    guard (200..<300).contains(response.status.code) else {
      throw await CoordinatorClient.failure(of: response)
    }
    let date = response.headers.first(name: "date").flatMap(HTTPDate.unixSeconds)
    return Answer(
      coordinator: url, seconds: seconds,
      clockAheadSeconds: date.map { now.timeIntervalSince1970 - Double($0) },
      proxy: try ProxySettings(for: url, environment: environment)?.spelled)
  }

  /// This machine's clock less that of whoever answers at the coordinator's address, in seconds,
  /// where TLS fails: its certificate may not be valid by a clock that is wrong. Nothing is
  /// verified.
  ///
  /// - Returns: nil where nobody answers or the answer has no time.
  package func unverifiedClockAhead(of member: Membership) async -> Double? {
    let url = member.record.url
    guard let http = try? CoordinatorClient.makeHTTPClient(for: url, environment: environment)
    else {
      return nil
    }
    let evidence = await ConnectionTrouble.Evidence.gather(from: url, over: http)
    try? await http.shutdown()
    return evidence?.unixSeconds.map { Date().timeIntervalSince1970 - Double($0) }
  }

  /// Writes 16 MB into the folder and removes them again.
  ///
  /// - Throws: `FileError`.
  package func disk() throws -> Disk {
    var status = statvfs()
    guard statvfs(folder.path, &status) == 0 else {
      throw FileError(doing: "examining", path: folder.path)
    }
    let (free, overflow) = Int(clamping: status.f_bavail)
      .multipliedReportingOverflow(by: Int(clamping: status.f_frsize))
    let path = folder.path + "/examination"
    defer { unlink(path) }
    let data = Data(repeating: 0x5a, count: 16 << 20)
    let clock = ContinuousClock()
    let start = clock.now
    try DurableFile.write([data], to: path)
    return Disk(
      freeBytes: overflow ? .max : free,
      writeSpeed: Double(data.count) / max(1e-6, (clock.now - start) / .seconds(1)))
  }
}
