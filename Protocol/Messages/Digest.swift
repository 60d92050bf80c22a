/// The SHA-256 of some bytes, written as 64 lower-case hexadecimal digits.
///
/// Blobs, models, unit specifications and results are named by the digest of their uncompressed
/// bytes. This type holds a name and checks its spelling; it computes nothing.
package struct Digest: Hashable, Sendable, CustomStringConvertible {
  /// 64 lower-case hexadecimal digits.
  package let hex: String

  /// Takes a spelled digest; nil unless `hex` is exactly 64 of `0-9a-f`.
  package init?(hex: String) {
    guard hex.utf8.count == 64,
      hex.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) })
    else { return nil }
    self.hex = hex
  }

  /// Takes the 32 bytes of a computed SHA-256; nil for any other count.
  package init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 32 else { return nil }
    let digits = Array("0123456789abcdef".utf8)
    var spelled: [UInt8] = []
    spelled.reserveCapacity(64)
    for byte in bytes {
      spelled.append(digits[Int(byte >> 4)])
      spelled.append(digits[Int(byte & 15)])
    }
    self.hex = String(decoding: spelled, as: UTF8.self)
  }

  package var description: String { hex }
}

extension Digest: Codable {
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let digest = Digest(hex: text) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "a SHA-256 is 64 lower-case hexadecimal digits")
    }
    self = digest
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(hex)
  }
}

extension Digest: Comparable {
  /// In the order of their spellings, which is that of their bytes.
  package static func < (left: Digest, right: Digest) -> Bool { left.hex < right.hex }
}
