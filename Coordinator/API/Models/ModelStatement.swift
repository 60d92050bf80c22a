import Foundation
import ModelFormats
import Models

/// What a model's files say of whose it is and what it may be used for. Nothing is guessed: what
/// they do not say plainly is nil.
package struct ModelStatement: Hashable, Sendable {
  /// An identifier in lower case.
  package var licence: String?
  package var licenceText: String?
  package var licenceLink: String?
  package var baseModels: [String] = []

  /// Bytes of a card that are looked at; its front matter stands first.
  private static let cardBytes = 64 << 10

  /// Reads a GGUF file's `general` keys, a folder's config.json, and what stands in `notices`: the
  /// front matter of README.md, and the licence's text.
  ///
  /// - Parameters:
  ///   - path: a GGUF file or a folder.
  ///   - notices: the folder with licence and card; nil where a file has none of its own.
  /// - Throws: `FormatError` for a GGUF file that cannot be read, and a licence that is too long.
  package init(path: String, notices: URL?) throws {
    let url = URL(fileURLWithPath: path)
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return }
    if isFolder.boolValue {
      let config = try? ConfigObject(contentsOf: url.appendingPathComponent("config.json"))
      licence = (try? config?.optionalString("license")).flatMap(ModelLicence.identifier)
    } else {
      take(try GGUFFile(contentsOf: url).metadata)
    }
    guard let notices else { return }
    if let text = Self.text(
      of: notices.appendingPathComponent(ModelFileNames.card), limit: Self.cardBytes)
    {
      take(FrontMatter(text))
    }
    licenceText = try ModelFileNames.licences.lazy.compactMap {
      try Self.licenceText(in: notices.appendingPathComponent($0))
    }.first
    licence = licence ?? licenceText.flatMap(ModelLicence.wellKnown)
  }

  /// Where a model at `path` has its licence and card: a folder in itself, a single file nowhere.
  package static func notices(of path: String) -> URL? {
    var isFolder: ObjCBool = false
    let exists = FileManager.default.fileExists(atPath: path, isDirectory: &isFolder)
    return exists && isFolder.boolValue ? URL(fileURLWithPath: path) : nil
  }

  /// The licence's text in a file; nil when there is no such file.
  ///
  /// - Throws: `FormatError`.
  package static func licenceText(in url: URL) throws -> String? {
    let limit = ModelProvenance.Limit.licenceTextBytes
    guard let text = text(of: url, limit: limit + 1) else { return nil }
    guard text.utf8.count <= limit else {
      throw FormatError(
        .limitExceeded, file: url.path, reason: "a licence has at most \(limit) bytes")
    }
    // What is no text would be obeyed by a terminal that shows it.
    return String(
      String.UnicodeScalarView(
        text.unicodeScalars.filter {
          $0.properties.generalCategory != .control || "\n\r\t\u{c}".unicodeScalars.contains($0)
        }))
  }

  /// Keys of https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "General metadata".
  private mutating func take(_ metadata: ExactDictionary<GGUFValue>) {
    func text(_ key: String) -> String? { Self.named(metadata["general." + key]?.stringValue) }
    licence = text("license").flatMap(ModelLicence.identifier)
    if licence == nil || licence == "other" {
      licence = text("license.name").flatMap(ModelLicence.identifier) ?? licence
    }
    licenceLink = text("license.link")
    let count = metadata["general.base_model.count"]?.intValue ?? 0
    baseModels = (0..<max(0, min(count, ModelProvenance.Limit.baseModels))).compactMap { index in
      text("base_model.\(index).repo_url") ?? text("base_model.\(index).name")
    }
  }

  private mutating func take(_ card: FrontMatter) {
    let stated = card.value("license").flatMap(ModelLicence.identifier)
    let named = card.value("license_name").flatMap(ModelLicence.identifier)
    licence = licence ?? (stated == "other" ? named ?? stated : stated)
    licenceLink = licenceLink ?? Self.named(card.value("license_link"))
    if baseModels.isEmpty {
      baseModels = Array(
        card.values("base_model").compactMap(Self.named).prefix(ModelProvenance.Limit.baseModels))
    }
  }

  /// A text that is short enough for a name, not empty, and harmless on a terminal.
  private static func named(_ text: String?) -> String? {
    guard let text, !text.isEmpty, text.utf8.count <= ModelProvenance.Limit.nameBytes,
      text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
    else { return nil }
    return text
  }

  private static func text(of url: URL, limit: Int) -> String? {
    guard let file = try? FileHandle(forReadingFrom: url) else { return nil }
    defer { try? file.close() }
    return (try? file.read(upToCount: limit)).map { String(decoding: $0, as: UTF8.self) }
  }
}
