import Foundation

/// What the key file is encrypted with. Prints as nothing.
package struct Passphrase: Sendable, CustomStringConvertible, CustomDebugStringConvertible {
  private let bytes: [CChar]

  /// Takes a passphrase of 1 to 1,000 bytes; line ends around it do not count. Nil for any other.
  package init?(_ text: String) {
    let trimmed = text.trimmingCharacters(in: .newlines)
    guard (1...1000).contains(trimmed.utf8.count) else { return nil }
    bytes = trimmed.utf8.map(CChar.init(bitPattern:))
  }

  /// 256 random bits, in base64.
  static func random(using random: inout some RandomNumberGenerator) -> String {
    Data((0..<32).map { _ in UInt8.random(in: 0...255, using: &random) }).base64EncodedString()
  }

  /// Calls `body` with the characters and their count, for the length of the call.
  func withCharacters<Result>(_ body: (UnsafePointer<CChar>?, Int32) -> Result) -> Result {
    bytes.withUnsafeBufferPointer { body($0.baseAddress, Int32($0.count)) }
  }

  package var description: String { "(passphrase)" }
  package var debugDescription: String { description }
}

/// Where the passphrase comes from.
package enum PassphraseSource: Hashable, Sendable {
  /// The first of: the systemd credential `tally-key-passphrase` (`$CREDENTIALS_DIRECTORY`), the
  /// environment variable `TALLY_KEY_PASSPHRASE`, the file `key.passphrase` in the data folder,
  /// generated where it is absent.
  case automatic
  /// This file, which must exist.
  case file(String)
}
