import Foundation

/// The headers of one part of a form: its field's name, and the file's name if it is a file.
package struct MultipartPart: Equatable, Sendable {
  /// `name` of `Content-Disposition`.
  package var name: String
  /// `filename` of `Content-Disposition`; nil for a plain field.
  package var filename: String?

  package init(name: String, filename: String? = nil) {
    self.name = name
    self.filename = filename
  }

  /// Reads header lines separated by CRLF, without the empty line that ends them.
  ///
  /// - Throws: `MultipartError` unless there is exactly one `Content-Disposition: form-data` with a
  ///   name.
  package init(headerLines bytes: [UInt8]) throws {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw MultipartError.malformedHeader("it is not UTF-8")
    }
    var disposition: Substring?
    for line in text.split(separator: "\r\n", omittingEmptySubsequences: true) {
      guard let colon = line.firstIndex(of: ":") else {
        throw MultipartError.malformedHeader("a line has no colon")
      }
      guard line[..<colon].lowercased() == "content-disposition" else { continue }
      guard disposition == nil else {
        throw MultipartError.malformedHeader("Content-Disposition appears twice")
      }
      disposition = line[line.index(after: colon)...]
    }
    guard let disposition else {
      throw MultipartError.malformedHeader("Content-Disposition is missing")
    }
    var parameters = HeaderParameters(disposition)
    guard parameters.value().lowercased() == "form-data" else {
      throw MultipartError.malformedHeader("Content-Disposition is not form-data")
    }
    var name: String?
    var filename: String?
    while let (key, value) = try parameters.next() {
      switch key.lowercased() {
      case "name" where name == nil: name = value
      case "filename" where filename == nil: filename = value
      case "name", "filename": throw MultipartError.malformedHeader("\(key) appears twice")
      default: break
      }
    }
    guard let name, !name.isEmpty else { throw MultipartError.malformedHeader("name is missing") }
    self.name = name
    self.filename = filename
  }
}

/// The boundary of a form, from its `Content-Type`.
package struct MultipartBoundary: Equatable, Sendable {
  /// 1 to 70 characters of RFC 2046's `bchars`.
  package let value: String

  /// - Throws: `MultipartError` unless `contentType` is `multipart/form-data` with a valid
  ///   boundary.
  package init(contentType: String) throws {
    var parameters = HeaderParameters(contentType[...])
    guard parameters.value().lowercased() == "multipart/form-data" else {
      throw MultipartError.notMultipart
    }
    while let (key, value) = try parameters.next() {
      guard key.lowercased() == "boundary" else { continue }
      guard (1...70).contains(value.utf8.count), value.utf8.allSatisfy(Self.isAllowed),
        !value.hasSuffix(" ")
      else { throw MultipartError.malformedBoundary }
      self.value = value
      return
    }
    throw MultipartError.malformedBoundary
  }

  /// RFC 2046's `bchars`.
  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case 48...57, 65...90, 97...122: true
    default: "'()+_,-./:=? ".utf8.contains(byte)
    }
  }
}

/// `value; key=token; key="quoted string"`, the shape of `Content-Disposition` and `Content-Type`.
private struct HeaderParameters {
  private var rest: Substring

  init(_ text: Substring) { rest = text }

  /// What stands before the first semicolon.
  mutating func value() -> String {
    let value = rest.prefix { $0 != ";" }
    rest = rest[value.endIndex...]
    return value.trimmingCharacters(in: .whitespaces)
  }

  /// The next parameter; nil at the end.
  mutating func next() throws -> (key: String, value: String)? {
    rest = rest.drop { $0 == ";" || $0 == " " || $0 == "\t" }
    guard !rest.isEmpty else { return nil }
    let key = rest.prefix { $0 != "=" && $0 != ";" }
    rest = rest[key.endIndex...]
    let name = key.trimmingCharacters(in: .whitespaces)
    guard rest.first == "=", !name.isEmpty else {
      throw MultipartError.malformedHeader("a parameter has no value")
    }
    rest = rest.dropFirst().drop { $0 == " " || $0 == "\t" }
    if rest.first == "\"" { return (name, try quoted()) }
    let token = rest.prefix { $0 != ";" }
    rest = rest[token.endIndex...]
    return (name, token.trimmingCharacters(in: .whitespaces))
  }

  /// Backslash escapes as in RFC 822, and the three percent escapes of HTML's form encoding.
  private mutating func quoted() throws -> String {
    var text = ""
    rest = rest.dropFirst()
    while let character = rest.popFirst() {
      if character == "\"" {
        return text.replacing("%22", with: "\"").replacing("%0D", with: "\r")
          .replacing("%0A", with: "\n")
      }
      // A backslash quotes only a quote or itself: browsers send Windows paths as they are.
      if character == "\\", let next = rest.first, next == "\"" || next == "\\" {
        text.append(next)
        rest = rest.dropFirst()
      } else {
        text.append(character)
      }
    }
    throw MultipartError.malformedHeader("a quoted string does not end")
  }
}

/// Why a form cannot be read.
package enum MultipartError: Error, Equatable, Sendable, CustomStringConvertible {
  case notMultipart
  case malformedBoundary
  case malformedDelimiter
  case malformedHeader(String)
  case headersTooLarge(limit: Int)
  case tooManyParts(limit: Int)
  case truncated

  package var description: String {
    switch self {
    case .notMultipart: "The body must be multipart/form-data."
    case .malformedBoundary: "The Content-Type has no valid multipart boundary."
    case .malformedDelimiter: "A multipart delimiter is malformed."
    case .malformedHeader(let reason): "A multipart header is malformed: \(reason)."
    case .headersTooLarge(let limit): "The headers of a part exceed \(limit) bytes."
    case .tooManyParts(let limit): "The form has more than \(limit) parts."
    case .truncated: "The multipart body ends before its closing delimiter."
    }
  }
}
