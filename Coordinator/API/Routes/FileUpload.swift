import CoordinatorCore
import CoordinatorStore
import Foundation
import HTTPTypes
import Hummingbird
import WireProtocol

/// Receives one multipart upload: small fields are collected, the file goes to a blob as it
/// arrives.
struct FileUpload {
  private let blobs: any BlobStore
  private let limitBytes: Int
  private var fields: [String: String] = [:]
  private var part: MultipartPart?
  private var fieldBytes = Data()
  private var writer: (any BlobWriter)?
  private var fileBytes = 0
  private var filename: String?
  private var stored: (digest: Digest, bytes: Int)?

  private static let fieldLimitBytes = 1024

  init(blobs: any BlobStore, limitBytes: Int) {
    self.blobs = blobs
    self.limitBytes = limitBytes
  }

  /// Reads the whole form; the file's blob is durable afterwards.
  ///
  /// - Throws: `APIError`; what was stored of the file is dropped.
  mutating func receive(_ request: Request, key: String, now: Timestamp) async throws -> NewFile {
    do {
      // Delimiters and headers need room beside the file.
      if let length = request.headers[.contentLength].flatMap({ Int($0) }),
        length > limitBytes + 65536
      {
        throw tooLarge
      }
      let boundary = try MultipartBoundary(contentType: request.headers[.contentType] ?? "")
      var parser = MultipartParser(boundary: boundary)
      for try await piece in request.body {
        for event in try parser.feed(piece.readableBytesView) { try await handle(event) }
      }
      try parser.finish()
      return try newFile(key: key, now: now)
    } catch {
      await writer?.cancel()
      writer = nil
      guard let error = error as? MultipartError else { throw error }
      throw APIError.invalid(error.description, code: "invalid_multipart")
    }
  }

  private mutating func handle(_ event: MultipartParser.Event) async throws {
    switch event {
    case .partBegan(let part): try await begin(part)
    case .bytes(let bytes): try await take(bytes)
    case .partEnded: try await end()
    }
  }

  private mutating func begin(_ part: MultipartPart) async throws {
    self.part = part
    fieldBytes = Data()
    guard part.name == "file" else {
      let known = ["purpose", "expires_after[anchor]", "expires_after[seconds]"]
      guard known.contains(part.name) else {
        throw APIError.invalid(
          "Unknown parameter: '\(part.name.prefix(64))'.", param: String(part.name.prefix(64)),
          code: "unknown_parameter")
      }
      guard fields[part.name] == nil else { throw duplicate(part.name) }
      return
    }
    guard filename == nil else { throw duplicate("file") }
    guard let name = part.filename else {
      throw APIError.invalid(
        "Invalid 'file': expected an uploaded file with a name.", param: "file",
        code: "invalid_type")
    }
    // Some clients send a path.
    let last = name.split(whereSeparator: { $0 == "/" || $0 == "\\" }).last.map(String.init)
    filename = Name.cleaned(last, limitBytes: 255) ?? "upload"
    writer = try await blobs.makeWriter()
  }

  private mutating func take(_ bytes: Data) async throws {
    guard let writer else {
      guard fieldBytes.count + bytes.count <= Self.fieldLimitBytes else {
        throw APIError.invalid(
          "The field '\(part?.name ?? "")' is too long.", param: part?.name, code: "invalid_value")
      }
      fieldBytes.append(bytes)
      return
    }
    guard fileBytes + bytes.count <= limitBytes else { throw tooLarge }
    fileBytes += bytes.count
    try await writer.write(bytes)
  }

  private mutating func end() async throws {
    if let writer {
      stored = try await writer.finish()
      self.writer = nil
    } else if let part {
      fields[part.name] = String(decoding: fieldBytes, as: UTF8.self)
    }
    part = nil
  }

  private func newFile(key: String, now: Timestamp) throws -> NewFile {
    guard let stored, let filename else {
      throw APIError.invalid(
        "Missing required parameter: 'file'.", param: "file", code: "missing_required_parameter")
    }
    guard let word = fields["purpose"] else {
      throw APIError.invalid(
        "Missing required parameter: 'purpose'.", param: "purpose",
        code: "missing_required_parameter")
    }
    guard let purpose = FilePurpose(rawValue: word), purpose == .batch || purpose == .fineTune
    else {
      throw APIError.invalid(
        "'\(word.prefix(50))' is not one of ['batch', 'fine-tune'] - 'purpose'", param: "purpose",
        code: "invalid_value")
    }
    return NewFile(
      keyID: key, purpose: purpose, filename: filename, bytes: stored.bytes, blob: stored.digest,
      expiresAt: try expiry(now: now))
  }

  private func expiry(now: Timestamp) throws -> Timestamp? {
    let anchor = fields["expires_after[anchor]"]
    let text = fields["expires_after[seconds]"]
    guard anchor != nil || text != nil else { return nil }
    guard anchor == "created_at" else {
      throw APIError.invalid(
        "Invalid 'expires_after[anchor]': only 'created_at' is supported.",
        param: "expires_after.anchor", code: "invalid_value")
    }
    guard let text, let seconds = Int(text), (3600...2_592_000).contains(seconds) else {
      throw APIError.invalid(
        "Invalid 'expires_after[seconds]': expected an integer from 3600 to 2592000.",
        param: "expires_after.seconds", code: "invalid_value")
    }
    return now.adding(seconds: seconds)
  }

  private var tooLarge: APIError {
    .tooLarge("The file exceeds the limit of \(limitBytes) bytes.", param: "file")
  }

  private func duplicate(_ name: String) -> APIError {
    .invalid("The parameter '\(name)' appears twice.", param: name, code: "invalid_value")
  }
}
