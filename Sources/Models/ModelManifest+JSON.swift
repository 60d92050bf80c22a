import Foundation
import ModelFormats

extension ModelManifest {
  /// The largest manifest that is read, in bytes.
  package static let jsonLimitBytes = 256 << 20

  /// The manifest's bytes, the same for equal manifests: keys sorted, no spaces.
  ///
  /// - Throws: `EncodingError` for a number that JSON lacks, which a validated description does not
  ///   hold.
  package func canonicalJSON() throws -> Data {
    try canonicalEncoder().encode(self)
  }

  /// Reads and checks a manifest from outside.
  ///
  /// - Parameter name: what errors call it.
  /// - Throws: `FormatError`.
  package init(json: Data, name: String) throws {
    guard json.count <= Self.jsonLimitBytes else {
      throw FormatError(.limitExceeded, file: name, reason: "a manifest of \(json.count) bytes")
    }
    // Depth, duplicate keys and syntax are checked by our own reader, which names the byte.
    _ = try JSONReader.parse([UInt8](json), file: name, rules: .strict.limited(depth: 32))
    do {
      self = try JSONDecoder().decode(ModelManifest.self, from: json)
    } catch let error as DecodingError {
      throw FormatError(.malformed, file: name, reason: error.place)
    } catch {
      throw FormatError(.malformed, file: name, reason: "not a manifest")
    }
    try validate(file: name)
  }

  /// Checks that the tensors are exactly those that the description requires, with their shapes,
  /// and that their chunks add up.
  private func validate(file: String) throws {
    guard version == description.manifestVersion else {
      throw FormatError(.badVersion, file: file, reason: "manifest version \(version)")
    }
    try description.validate(file: file)
    try provenance?.validate(file: file)
    let required = description.requiredTensors.sorted { utf8Order($0.name, $1.name) }
    guard required.map(\.name) == tensors.map(\.name) else {
      throw FormatError(
        .missing, file: file, reason: "the tensors are not those that the description requires")
    }
    for (tensor, requirement) in zip(tensors, required) {
      let label = "tensor \(quoted(tensor.name))"
      guard tensor.shape == requirement.shape,
        let byteCount = tensor.type.byteCount(shape: tensor.shape)
      else {
        throw FormatError(.badLayout, file: file, reason: "\(label) has shape \(tensor.shape)")
      }
      var sum = 0
      for chunk in tensor.chunks {
        guard chunk.bytes >= 1, chunk.bytes <= Self.chunkLimitBytes, sum <= byteCount else {
          throw FormatError(
            .limitExceeded, file: file, reason: "\(label) has a chunk of \(chunk.bytes) bytes")
        }
        guard isSHA256(chunk.sha256) else {
          throw FormatError(
            .malformed, file: file, reason: "\(label) has the digest \(quoted(chunk.sha256))")
        }
        sum += chunk.bytes
      }
      guard sum == byteCount else {
        throw FormatError(
          .badLayout, file: file,
          reason: "\(label) needs \(byteCount) bytes, its chunks have \(sum)")
      }
    }
  }
}

extension ModelDescription {
  /// The description's bytes, the same for equal descriptions: keys sorted, no spaces.
  ///
  /// - Throws: `EncodingError` for a number that JSON lacks, which a validated description does not
  ///   hold.
  package func canonicalJSON() throws -> Data {
    try canonicalEncoder().encode(self)
  }
}

private func canonicalEncoder() -> JSONEncoder {
  let encoder = JSONEncoder()
  encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
  return encoder
}

/// Whether a text is 64 lower-case hexadecimal digits.
func isSHA256(_ text: String) -> Bool {
  text.utf8.count == 64 && text.utf8.allSatisfy(\.isLowerHexadecimal)
}

extension UInt8 {
  fileprivate var isLowerHexadecimal: Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self)
      || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self)
  }
}

extension DecodingError {
  /// The path to the value and what is wrong with it.
  fileprivate var place: String {
    let (context, what): (Context, String) =
      switch self {
      case .keyNotFound(let key, let context): (context, "lacks \(quoted(key.stringValue))")
      case .typeMismatch(_, let context): (context, "has the wrong type")
      case .valueNotFound(_, let context): (context, "is null")
      case .dataCorrupted(let context): (context, "is not a valid value")
      @unknown default: (Context(codingPath: [], debugDescription: ""), "is malformed")
      }
    let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
    return "JSON: \(quoted(path.joined(separator: "."), limit: 200)) \(what)"
  }
}
