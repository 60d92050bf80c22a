import AsyncHTTPClient
import Crypto
import Foundation
import NIOCore
import NIOHTTP1
import WireProtocol
import WorkerDaemon

/// Downloads from the Hugging Face hub, or from what speaks its routes (`HF_ENDPOINT`).
struct HubClient: Sendable {
  private let http: HTTPClient
  private let endpoint: String
  /// Goes to the endpoint alone: redirections to other hosts leave it out.
  private let token: String?
  /// Attempts in a row that bring nothing of a file; each goes on where the last one ended.
  private static let attempts = 5
  /// Bytes of the longest list of a model's files.
  private static let listingBytes = 64 << 20

  /// Opens a client for the length of `body`.
  ///
  /// - Parameter environment: `HF_ENDPOINT`; `HF_TOKEN`, else the file that the hub's own tools
  ///   keep it in; proxies.
  static func with<Result: Sendable>(
    _ environment: [String: String], _ body: (HubClient) async throws -> Result
  ) async throws -> Result {
    var endpoint = environment["HF_ENDPOINT"].flatMap { $0.isEmpty ? nil : $0 }
      ?? "https://huggingface.co"
    while endpoint.hasSuffix("/") { endpoint.removeLast() }
    var settings = HTTPClient.Configuration()
    settings.httpVersion = .http1Only
    settings.proxy = try HTTPClient.Configuration.Proxy.named(for: endpoint, by: environment)
    settings.timeout.connect = .seconds(20)
    settings.timeout.read = .seconds(60)
    let http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: settings)
    let client = HubClient(http: http, endpoint: endpoint, token: token(environment))
    do {
      let result = try await body(client)
      try await http.shutdown()
      return result
    } catch {
      try? await http.shutdown()
      throw error
    }
  }

  private static func token(_ environment: [String: String]) -> String? {
    let home = environment["HF_HOME"] ?? (environment["HOME"] ?? "") + "/.cache/huggingface"
    let saved = try? String(contentsOfFile: home + "/token", encoding: .utf8)
    return [environment["HF_TOKEN"], saved].lazy.compactMap { $0 }
      .map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }
      .first { !$0.isEmpty && $0.utf8.allSatisfy { (33...126).contains($0) } }
  }

  /// What a reference stands for now.
  ///
  /// - Throws: `CommandError`.
  func listing(of reference: HubReference) async throws -> HubListing {
    let answer = try await open(
      "/api/models/\(reference.repository)/revision/\(reference.revision)?blobs=true", reference)
    let body = try await collect(answer)
    guard let listing = try? JSONDecoder().decode(HubListing.self, from: body) else {
      throw CommandError(
        "\(endpoint) does not answer as the hub does: no list of a model's files; is HF_ENDPOINT "
          + "right?")
    }
    let names = listing.siblings.flatMap { $0.rfilename.split(separator: "/") }
    guard HubReference.isName(listing.sha),
      listing.siblings.allSatisfy({ ($0.byteCount ?? 0) >= 0 }), !names.contains("..")
    else { throw CommandError("\(endpoint) names a revision or files that cannot be") }
    return listing
  }

  /// Brings a file to `folder`, unless it is there; goes on with what an earlier attempt left.
  ///
  /// - Parameter progress: called with bytes that have arrived, of this file in all.
  /// - Throws: `CommandError`.
  func download(
    _ file: HubListing.File, of reference: HubReference, to folder: URL,
    progress: (Int) -> Void
  ) async throws {
    let path = folder.appendingPathComponent(file.rfilename)
    guard !FileManager.default.fileExists(atPath: path.path) else {
      return progress(file.byteCount ?? 0)
    }
    try FileManager.default.createDirectory(
      at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
    let partial = URL(fileURLWithPath: path.path + ".part")
    var attempt = 1
    while true {
      var hasArrived = false
      do {
        try await fetch(file, of: reference, to: partial) { bytes in
          hasArrived = true
          progress(bytes)
        }
        break
      } catch let error as CommandError {
        throw error
      } catch is CancellationError {
        throw CancellationError()
      } catch where hasArrived || attempt < Self.attempts {
        if hasArrived { attempt = 1 }
        try await Task.sleep(for: .seconds(1 << (attempt - 1)))
        attempt += 1
      } catch {
        throw CommandError(
          "\(file.rfilename) of \(reference.repository) breaks off: \(Self.words(error)). What has "
            + "arrived is kept: the same command goes on")
      }
    }
    guard try Self.isWhole(partial, file) else {
      try? FileManager.default.removeItem(at: partial)
      throw CommandError(
        "\(file.rfilename) of \(reference.repository) has other bytes than the hub says; it was "
          + "removed")
    }
    try FileManager.default.moveItem(at: partial, to: path)
  }

  private func fetch(
    _ file: HubListing.File, of reference: HubReference, to partial: URL,
    _ progress: (Int) -> Void
  ) async throws {
    if !FileManager.default.fileExists(atPath: partial.path) {
      try Data().write(to: partial)
    }
    let handle = try FileHandle(forWritingTo: partial)
    defer { try? handle.close() }
    var have = Int(try handle.seekToEnd())
    if let size = file.byteCount {
      if have > size {
        try handle.truncate(atOffset: 0)
        have = 0
      }
      if have == size { return progress(have) }
    }
    let name = file.rfilename.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed) ?? ""
    let answer = try await open(
      "/\(reference.repository)/resolve/\(reference.revision)/\(name)", reference, from: have)
    if answer.status != .partialContent, have > 0 {
      try handle.truncate(atOffset: 0)
      have = 0
    }
    for try await piece in answer.body {
      try handle.write(contentsOf: Data(piece.readableBytesView))
      have += piece.readableBytes
      if let size = file.byteCount, have > size { break }
      progress(have)
    }
    try handle.synchronize()
    if let size = file.byteCount, have < size {
      throw BrokenOff()
    }
  }

  private struct BrokenOff: Error, CustomStringConvertible {
    let description = "the answer ended early"
  }

  /// Whether a file's bytes are those that the hub names; true where it names none.
  private static func isWhole(_ path: URL, _ file: HubListing.File) throws -> Bool {
    let handle = try FileHandle(forReadingFrom: path)
    defer { try? handle.close() }
    let size = Int(try handle.seekToEnd())
    try handle.seek(toOffset: 0)
    if let expected = file.byteCount, size != expected { return false }
    var large = SHA256()
    // How git names a content.
    var small = Insecure.SHA1()
    small.update(data: Data("blob \(size)\0".utf8))
    while let piece = try handle.read(upToCount: 1 << 20), !piece.isEmpty {
      if file.lfs != nil { large.update(data: piece) } else { small.update(data: piece) }
    }
    func hex(_ digest: some Sequence<UInt8>) -> String {
      digest.map { String(format: "%02x", $0) }.joined()
    }
    if let lfs = file.lfs { return hex(large.finalize()) == lfs.sha256 }
    guard let blob = file.blobId else { return true }
    return hex(small.finalize()) == blob
  }

  private func open(
    _ path: String, _ reference: HubReference, from offset: Int = 0
  ) async throws -> HTTPClientResponse {
    var request = HTTPClientRequest(url: endpoint + path)
    request.headers.add(name: "user-agent", value: "tally/\(ProtocolVersion.program)")
    if offset > 0 { request.headers.add(name: "range", value: "bytes=\(offset)-") }
    if let token { request.headers.add(name: "authorization", value: "Bearer \(token)") }
    let answer: HTTPClientResponse
    do {
      answer = try await http.execute(request, timeout: .hours(24))
    } catch let error as CancellationError {
      throw error
    } catch {
      guard path.hasPrefix("/api/") else { throw error }
      throw unreachable(error)
    }
    switch answer.status {
    case .ok, .partialContent: return answer
    case .unauthorized, .forbidden:
      throw CommandError(
        "the hub does not let \(token == nil ? "strangers" : "this token") read "
          + "\(reference.repository): accept its terms there, and set HF_TOKEN to a token of your "
          + "account")
    case .notFound:
      throw CommandError("the hub has no \(reference.repository) at \(reference.revision)")
    case .tooManyRequests, .internalServerError, .badGateway, .serviceUnavailable, .gatewayTimeout:
      guard path.hasPrefix("/api/") else { throw Busy(status: Int(answer.status.code)) }
      throw CommandError("the hub answers \(answer.status.code); try again later")
    default: throw CommandError("the hub answers \(answer.status.code) to \(path)")
    }
  }

  /// The whole of a list's answer.
  private func collect(_ answer: HTTPClientResponse) async throws -> Data {
    do {
      return Data(try await answer.body.collect(upTo: Self.listingBytes).readableBytesView)
    } catch let error as CancellationError {
      throw error
    } catch is NIOTooManyBytesError {
      throw CommandError(
        "\(endpoint) does not answer as the hub does: its list of files has no end")
    } catch {
      throw unreachable(error)
    }
  }

  private func unreachable(_ error: any Error) -> CommandError {
    CommandError("cannot reach \(endpoint)\(ProxySettings.way(to: endpoint)): \(Self.words(error))")
  }

  /// An error of the connection or of the disk, without a library's text.
  private static func words(_ error: any Error) -> String {
    switch error {
    case is BrokenOff, is Busy: "\(error)"
    default:
      (ErrorWords.plain(error) as? CommandError).map { "\($0)" }
        ?? ConnectionTrouble(error).wordsOfServer
    }
  }

  private struct Busy: Error, CustomStringConvertible {
    let status: Int
    var description: String { "the hub answers \(status)" }
  }
}
