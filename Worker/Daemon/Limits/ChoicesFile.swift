import Foundation
import WireProtocol
import WorkerCore

/// The owner's choices of work in the worker's folder. They may be edited while a worker runs,
/// which takes them up within a second.
package struct ChoicesFile: Sendable {
  package let path: String

  package init(in folder: WorkerFolder) { path = folder.path + "/choices.json" }

  /// Nil when there is no file.
  var version: FileVersion? { FileVersion(of: path) }

  /// Everything where there is no file.
  ///
  /// - Throws: `FileError` that names the file and what is wrong.
  package func load() throws -> WorkChoices {
    guard let data = try DurableFile.read(path, limitBytes: 1 << 16) else { return WorkChoices() }
    guard let lists = try? JSONDecoder().decode([String: [String]].self, from: data) else {
      throw FileError(
        doing: "reading", path: path, reason: "not a JSON object of lists of names")
    }
    do {
      return try WorkChoices().changed(by: lists)
    } catch {
      throw FileError(doing: "reading", path: path, reason: "\(error)")
    }
  }

  /// Replaces the file.
  ///
  /// - Throws: `FileError`.
  package func save(_ choices: WorkChoices) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    try DurableFile.write([encoder.encode(choices), Data("\n".utf8)], to: path)
  }
}

extension WorkChoices {
  /// The choices with these lists in place of their own; an empty list chooses nothing.
  ///
  /// - Throws: `PreferenceError` for an unknown key or name: what is misspelt would not hold.
  package func changed(by lists: [String: [String]]) throws(PreferenceError) -> WorkChoices {
    var choices = self
    let keys = self.lists.map(\.key)
    for (key, names) in lists.sorted(by: { $0.key < $1.key }) {
      let names = names.isEmpty ? nil : names
      switch key {
      case "kinds":
        try Self.require(names, key, of: UnitKind.allCases.map(\.rawValue))
        choices.kinds = names
      case "models": choices.models = names
      case "licences": choices.licences = names
      case "pools":
        try Self.require(names, key, of: Self.poolNames)
        choices.pools = names
      default:
        throw PreferenceError(
          key: key, reason: "no such choice; there are \(keys.joined(separator: ", "))")
      }
    }
    if let problem = choices.problem { throw PreferenceError(key: "choices", reason: problem) }
    return choices
  }

  private static func require(
    _ names: [String]?, _ key: String, of known: [String]
  ) throws(PreferenceError) {
    for name in names ?? [] {
      let bare = name.hasPrefix("-") ? String(name.dropFirst()) : name
      guard known.contains(bare.lowercased()) else {
        throw PreferenceError(
          key: key, reason: "there is no \"\(name)\"; there are \(known.joined(separator: ", "))")
      }
    }
  }
}
