import CoordinatorStore
import Foundation
import ModelFormats
import WireProtocol

/// Finds out what a model's weights are licensed under. Volunteers choose by it, so nothing is guessed:
/// what the files do not say plainly is unknown.
package enum ModelLicence {
  /// Bytes of a text file that are looked at.
  private static let textBytes = 64 << 10

  /// What a GGUF file's `general.license`, or a folder's config.json, README.md (`license:` of its front
  /// matter) or LICENSE says; nil when none does.
  ///
  /// - Throws: `FormatError` for a GGUF file that cannot be read.
  package static func stated(in path: String) throws -> String? {
    let url = URL(fileURLWithPath: path)
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return nil }
    guard isFolder.boolValue else {
      let license = try GGUFFile(contentsOf: url).metadata["general.license"]
      guard case .string(let text)? = license else { return nil }
      return identifier(text)
    }
    let config = try? ConfigObject(contentsOf: url.appendingPathComponent("config.json"))
    if let text = try? config?.optionalString("license"), let found = identifier(text) {
      return found
    }
    if let text = text(of: "README.md", in: url), let found = frontMatter(text) { return found }
    for name in ["LICENSE", "LICENSE.txt", "LICENSE.md"] {
      if let text = text(of: name, in: url), let found = wellKnown(text) { return found }
    }
    return nil
  }

  /// A licence that the operator states.
  ///
  /// - Throws: `StoreError.invalid`.
  package static func checked(_ text: String) throws -> String {
    guard let found = identifier(text) else {
      throw StoreError(
        .invalid, "A licence has 1 to 64 letters, digits, '.', '_', '+' and '-', such as apache-2.0.")
    }
    return found
  }

  /// A text as an identifier in lower case; nil when it is none.
  package static func identifier(_ text: String) -> String? {
    let trimmed = text.trimmingCharacters(in: .whitespacesAndNewlines).lowercased()
    let isClean = trimmed.unicodeScalars.allSatisfy { scalar in
      scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
        || "._+-".unicodeScalars.contains(scalar)
    }
    guard isClean, (1...64).contains(trimmed.utf8.count), !trimmed.hasPrefix("-"),
      trimmed != WorkChoices.unknownLicence
    else { return nil }
    return trimmed
  }

  /// `license:` between the first two lines of `---`. "other" goes by its `license_name:`.
  package static func frontMatter(_ text: String) -> String? {
    var lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map {
      $0.trimmingCharacters(in: .whitespaces)
    }[...]
    guard lines.popFirst() == "---", let end = lines.firstIndex(of: "---") else { return nil }
    func value(_ key: String) -> String? {
      lines[..<end].first { $0.hasPrefix(key + ":") }.flatMap { line in
        identifier(
          line.dropFirst(key.count + 1)
            .trimmingCharacters(in: CharacterSet(charactersIn: " \t\r\"'")))
      }
    }
    let licence = value("license")
    return licence == "other" ? value("license_name") ?? licence : licence
  }

  /// Of texts that are the same everywhere.
  private static func wellKnown(_ text: String) -> String? {
    let beginning = text.prefix(400).split(whereSeparator: \.isWhitespace).joined(separator: " ")
    if beginning.hasPrefix("Apache License Version 2.0") { return "apache-2.0" }
    if beginning.hasPrefix("MIT License") { return "mit" }
    return nil
  }

  private static func text(of name: String, in folder: URL) -> String? {
    guard let file = try? FileHandle(forReadingFrom: folder.appendingPathComponent(name)) else {
      return nil
    }
    defer { try? file.close() }
    return (try? file.read(upToCount: textBytes)).map { String(decoding: $0, as: UTF8.self) }
  }
}
