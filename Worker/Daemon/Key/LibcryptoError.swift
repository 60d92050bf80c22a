import COpenSSL

/// Something that libcrypto refused, with what its error queue says.
package struct LibcryptoError: Error, CustomStringConvertible {
  /// What was tried.
  package let doing: String
  /// libcrypto's own words, oldest first; they name functions and reasons, never key bytes.
  package let reasons: [String]

  /// Takes the calling thread's error queue.
  init(doing: String) {
    self.doing = doing
    var reasons: [String] = []
    while true {
      let code = ERR_get_error()
      if code == 0 { break }
      var text = [CChar](repeating: 0, count: 256)
      ERR_error_string_n(code, &text, text.count)
      let bytes = text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
      reasons.append(String(decoding: bytes, as: UTF8.self))
    }
    self.reasons = reasons
  }

  package var description: String {
    reasons.isEmpty ? "\(doing) failed" : "\(doing) failed: \(reasons.joined(separator: "; "))"
  }
}

/// A memory buffer of libcrypto, for PEM texts that are no secret.
final class LibcryptoBuffer {
  let bio: OpaquePointer

  /// An empty buffer to write to.
  init() throws {
    guard let bio = BIO_new(BIO_s_mem()) else { throw LibcryptoError(doing: "BIO_new") }
    self.bio = bio
  }

  /// A buffer that holds `text`.
  convenience init(_ text: String) throws {
    try self.init()
    let bytes = Array(text.utf8)
    guard let count = Int32(exactly: bytes.count), BIO_write(bio, bytes, count) == count else {
      throw LibcryptoError(doing: "BIO_write")
    }
  }

  deinit { BIO_free(bio) }

  /// Everything that was written.
  func text() -> String {
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = BIO_read(bio, &piece, Int32(piece.count))
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += piece.prefix(Int(count))
    }
  }
}
