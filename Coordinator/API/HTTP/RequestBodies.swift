import Foundation
import HTTPTypes
import Hummingbird
import ModelFormats
import NIOCore
import WireProtocol

extension Request {
  /// The body as a JSON object with typed access. No text in it has U+0000: what a body says is
  /// stored, or compared with what is stored.
  ///
  /// - Throws: `APIError`: 413 above `limit` bytes, 400 for anything that is not a JSON object, and
  ///   for U+0000.
  package func jsonFields(limit: Int) async throws -> RequestFields {
    let bytes = try await collected(limit: limit)
    let value: JSONValue
    do {
      value = try JSONReader.parse(
        bytes, file: "body",
        rules: .strict.limited(depth: 32, values: 100_000).takingHugeNumbers())
    } catch let error as FormatError {
      throw APIError.invalid(
        "We could not parse the JSON body of your request: \(error.reason) at byte "
          + "\(error.offset ?? 0).", code: "invalid_json")
    }
    do {
      let fields = try RequestFields(value)
      for key in fields.keys where key.holdsNUL || fields.value(key)?.holdsNUL == true {
        throw fields.holdsNUL(key)
      }
      return fields
    } catch let error as FieldError {
      throw error.asAPIError
    }
  }

  /// The body as a message between worker and coordinator.
  package func message<Message: Decodable>(
    _ type: Message.Type, limit: Int
  ) async throws -> Message {
    let bytes = try await collected(limit: limit)
    do {
      return try CanonicalJSON.decode(Message.self, from: Data(bytes))
    } catch let error as DecodingError {
      throw APIError.invalid(
        "The body is not a valid \(Message.self): \(error.place).", code: "invalid_message")
    } catch {
      throw APIError.invalid("The body is not valid JSON.", code: "invalid_json")
    }
  }

  private func collected(limit: Int) async throws -> [UInt8] {
    if let length = headers[.contentLength].flatMap({ Int($0) }), length > limit {
      throw APIError.tooLarge("The request body exceeds \(limit) bytes.")
    }
    var bytes: [UInt8] = []
    for try await piece in body {
      guard bytes.count + piece.readableBytes <= limit else {
        throw APIError.tooLarge("The request body exceeds \(limit) bytes.")
      }
      bytes.append(contentsOf: piece.readableBytesView)
    }
    return bytes
  }
}

extension DecodingError {
  /// Which field is wrong, without its value.
  fileprivate var place: String {
    let (context, what): (Context, String) =
      switch self {
      case .typeMismatch(_, let context): (context, "wrong type")
      case .valueNotFound(_, let context): (context, "missing value")
      case .keyNotFound(let key, let context): (context, "missing '\(key.stringValue)'")
      case .dataCorrupted(let context): (context, "malformed value")
      @unknown default: (Context(codingPath: [], debugDescription: ""), "malformed")
      }
    let path = context.codingPath.map(\.stringValue).joined(separator: ".")
    return path.isEmpty ? what : "\(what) at '\(path)'"
  }
}
