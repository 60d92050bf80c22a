import CoordinatorCore
import CoordinatorStore
import Foundation
import HTTPTypes
import Hummingbird
import WireProtocol

/// Receives one multipart upload: small fields are collected, the file is written as it arrives. It
/// becomes a blob once everything about it was judged.
struct FileUpload {
  private let environment: APIEnvironment
  private let share: UploadBudget.Share
  private var fields: [String: String] = [:]
  private var part: MultipartPart?
  private var fieldBytes = Data()
  private var writer: (any BlobWriter)?
  private var fileBytes = 0
  private var filename: String?

  private static let fieldLimitBytes = 1024
  /// Bytes after which the disk's room is looked at again.
  private static let diskLookBytes = 4 << 20

  /// - Parameter share: what the file's bytes are taken from.
  init(environment: APIEnvironment, share: UploadBudget.Share) {
    self.environment = environment
    self.share = share
  }

  /// Reads the whole form and records the file.
  ///
  /// - Throws: `APIError`, `QuotaRefusal`; nothing is left of the file then.
  mutating func receive(_ request: Request, key: String) async throws -> FileRecord {
    do {
      try environment.requireDisk()
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
      return try await record(key: key, now: environment.now())
    } catch {
      await writer?.cancel()
      writer = nil
      guard let error = error as? MultipartError else { throw error }
      throw APIError.invalid(error.description, code: "invalid_multipart")
    }
  }

  private var limitBytes: Int { environment.limits.uploadBytes }

  private mutating func handle(_ event: MultipartParser.Event) async throws {
    switch event {
    case .partBegan(let part): try await begin(part)
    case .bytes(let bytes): try await take(bytes)
    case .partEnded: try end()
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
    writer = try await environment.blobs.makeWriter()
  }

  private mutating func take(_ bytes: Data) async throws {
    guard part?.name == "file", let writer else {
      guard fieldBytes.count + bytes.count <= Self.fieldLimitBytes else {
        throw APIError.invalid(
          "The field '\(part?.name ?? "")' is too long.", param: part?.name, code: "invalid_value")
      }
      fieldBytes.append(bytes)
      return
    }
    guard fileBytes + bytes.count <= limitBytes else { throw tooLarge }
    try share.take(bytes.count)
    let looks = fileBytes / Self.diskLookBytes
    fileBytes += bytes.count
    if fileBytes / Self.diskLookBytes > looks { try environment.requireDisk() }
    try await writer.write(bytes)
  }

  private mutating func end() throws {
    if let part, part.name != "file" {
      fields[part.name] = String(decoding: fieldBytes, as: UTF8.self)
      // What is wrong is told before the file comes, where the form says so first.
      if part.name == "purpose" { _ = try purpose() }
    }
    part = nil
  }

  private func record(key: String, now: Timestamp) async throws -> FileRecord {
    guard let writer, let filename else {
      throw APIError.invalid(
        "Missing required parameter: 'file'.", param: "file", code: "missing_required_parameter")
    }
    let file = NewFile(
      keyID: key, purpose: try purpose(), filename: filename, bytes: fileBytes,
      blob: try await writer.digest(), expiresAt: try expiry(now: now))
    return try await share.commit {
      try await environment.claims.naming(file.blob) {
        _ = try await writer.finish(expected: file.blob)
      } name: {
        try await environment.store.createFile(file, now: environment.now())
      }
    }
  }

  private func purpose() throws -> FilePurpose {
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
    return purpose
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
