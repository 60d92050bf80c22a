import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import WireProtocol
import WorkerCore

/// Speaks with the worker that runs on a folder.
package struct ControlSocket: Sendable {
  /// What a Unix socket's address holds on Linux, less its closing zero (unix(7)).
  static let longestPath = 107

  private let path: String

  /// - Parameter dataFolder: the worker's.
  package init(dataFolder: String) { path = Self.path(in: dataFolder) }

  static func path(in folder: String) -> String { folder + "/control" }

  /// What the worker does.
  ///
  /// - Throws: `ControlError`.
  package func status() async throws(ControlError) -> StatusDocument {
    try Self.decode(await send(.GET, "/status"))
  }

  /// Pauses computing; nil: until further notice.
  ///
  /// - Throws: `ControlError`.
  package func pause(seconds: Int?) async throws(ControlError) -> StatusDocument {
    try Self.decode(await send(.POST, "/pause", PauseRequest(seconds: seconds)))
  }

  /// Ends a pause; with `always`, computes whatever else the machine does.
  ///
  /// - Throws: `ControlError`.
  package func resume(always: Bool) async throws(ControlError) -> StatusDocument {
    try Self.decode(await send(.POST, always ? "/always" : "/resume"))
  }

  /// Lets the worker end once what it holds is computed and delivered.
  ///
  /// - Throws: `ControlError`.
  package func finish() async throws(ControlError) -> StatusDocument {
    try Self.decode(await send(.POST, "/finish"))
  }

  /// Moves the membership to another address of the coordinator.
  ///
  /// - Throws: `ControlError`, also for what the coordinator refuses.
  package func move(to url: String) async throws(ControlError) -> StatusDocument {
    try Self.decode(await send(.POST, "/move", MoveRequest(url: url), patience: .coordinator))
  }

  /// Has the coordinator call this machine by another name.
  ///
  /// - Throws: `ControlError`, also for what the coordinator refuses.
  package func rename(to name: String) async throws(ControlError) -> StatusDocument {
    try Self.decode(await send(.POST, "/name", NameRequest(name: name), patience: .coordinator))
  }

  /// What the worker has told of itself: the last `limit` messages of those after number `after`.
  ///
  /// - Throws: `ControlError`.
  package func logs(after: Int, limit: Int) async throws(ControlError) -> LogDocument {
    try Self.decode(await send(.GET, "/logs?after=\(after)&limit=\(limit)"))
  }

  /// Puts preferences in force.
  ///
  /// - Throws: `ControlError`.
  package func replace(
    _ preferences: WorkerPreferences
  ) async throws(ControlError) -> StatusDocument {
    try Self.decode(await send(.PUT, "/preferences", preferences))
  }

  /// What the coordinator knows of the account that this worker belongs to.
  ///
  /// - Throws: `ControlError`, also for what the coordinator refuses.
  package func account() async throws(ControlError) -> OwnAccount {
    try Self.decode(await send(.GET, "/account", patience: .coordinator))
  }

  /// Changes what it knows.
  ///
  /// - Throws: `ControlError`, also for what the coordinator refuses.
  package func changeAccount(_ change: OwnAccountChange) async throws(ControlError) -> OwnAccount {
    try Self.decode(await send(.POST, "/account", change, patience: .coordinator))
  }

  /// A new key for the account's page.
  ///
  /// - Throws: `ControlError`, also for what the coordinator refuses.
  package func makeAccountKey() async throws(ControlError) -> AccountKeyNote {
    try Self.decode(await send(.POST, "/account/key", patience: .coordinator))
  }

  /// Makes every key of the account's page useless; returns how many those were.
  ///
  /// - Throws: `ControlError`, also for what the coordinator refuses.
  package func revokeAccountKeys() async throws(ControlError) -> Int {
    let answer = try await send(.DELETE, "/account/key", patience: .coordinator)
    return try Self.decode(answer, as: RevokedAccountKeys.self).revoked
  }

  private func send(
    _ method: HTTPMethod, _ route: String, _ body: (any Encodable & Sendable)? = nil,
    patience: TimeAmount = .seconds(10)
  ) async throws(ControlError) -> Data {
    guard path.utf8.count <= Self.longestPath else { throw .pathTooLong(path: path) }
    guard FileManager.default.fileExists(atPath: path) else { throw .notRunning(path: path) }
    guard let url = URL(httpURLWithSocketPath: path, uri: route) else {
      throw .notRunning(path: path)
    }
    let client = HTTPClient(eventLoopGroupProvider: .singleton)
    let outcome: Result<(status: UInt, body: Data), any Error>
    do {
      var request = HTTPClientRequest(url: url.absoluteString)
      request.method = method
      if let body {
        request.headers.add(name: "content-type", value: "application/json")
        request.body = .bytes(ByteBuffer(bytes: try JSONEncoder().encode(body)))
      }
      let response = try await client.execute(request, timeout: patience)
      let data = Data(buffer: try await response.body.collect(upTo: 16 << 20))
      outcome = .success((response.status.code, data))
    } catch {
      outcome = .failure(error)
    }
    try? await client.shutdown()
    switch outcome {
    case .success((200, let data)): return data
    case .success((_, let data)): throw .refused(Self.message(data))
    // A worker that was killed leaves its socket behind.
    case .failure: throw .notRunning(path: path)
    }
  }

  private static func message(_ body: Data) -> String {
    struct Answer: Decodable {
      struct Content: Decodable { var message: String }
      var error: Content
    }
    return (try? JSONDecoder().decode(Answer.self, from: body))?.error.message
      ?? String(decoding: body.prefix(500), as: UTF8.self)
  }

  private static func decode<Answer: Decodable>(
    _ data: Data, as type: Answer.Type = Answer.self
  ) throws(ControlError) -> Answer {
    do {
      return try JSONDecoder().decode(Answer.self, from: data)
    } catch {
      throw .refused("the worker's answer is not understood: \(error)")
    }
  }
}

extension TimeAmount {
  /// Longer than a worker waits for its coordinator, so that the worker's reason is what one reads.
  fileprivate static let coordinator = TimeAmount.seconds(45)
}

/// Why a worker did not do what its owner asked.
package enum ControlError: Error, Hashable, Sendable, CustomStringConvertible {
  case notRunning(path: String)
  /// A worker that runs there has no socket.
  case pathTooLong(path: String)
  case refused(String)

  package var description: String {
    switch self {
    case .notRunning(let path):
      "no worker answers at \(path): start one with `tally worker run`, or name its folder with "
        + "--data"
    case .pathTooLong(let path):
      "a worker cannot be asked at \(path): a socket's path has at most "
        + "\(ControlSocket.longestPath) bytes and this one \(path.utf8.count); choose a folder "
        + "with a shorter path (--data), or see its log"
    case .refused(let message): message
    }
  }
}
