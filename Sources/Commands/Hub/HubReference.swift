import Foundation

/// A model on the Hugging Face hub: `hf:OWNER/NAME`, or one file of it, `hf:OWNER/NAME/FILE.gguf`,
/// each with `@REVISION` (a branch, a tag or a commit) or of `main`.
struct HubReference: Hashable, Sendable, CustomStringConvertible {
  let owner: String
  let name: String
  /// nil: what a model in safetensors consists of.
  let file: String?
  var revision: String

  /// nil for text that does not begin with `hf:`.
  ///
  /// - Throws: `CommandError` for what follows but is no reference.
  init?(_ text: String) throws {
    guard text.hasPrefix("hf:") else { return nil }
    let wrong = CommandError(
      "\"\(text)\" is not hf:OWNER/NAME[/FILE.gguf][@REVISION], such as hf:Qwen/Qwen3-0.6B")
    let halves = text.dropFirst(3).split(separator: "@", omittingEmptySubsequences: false)
    let parts = (halves.first ?? "").split(separator: "/", omittingEmptySubsequences: false)
      .map(String.init)
    guard halves.count <= 2, parts.count >= 2, parts.allSatisfy(Self.isName) else { throw wrong }
    let revision = halves.count == 2 ? String(halves[1]) : "main"
    guard revision.split(separator: "/", omittingEmptySubsequences: false)
      .allSatisfy({ Self.isName(String($0)) })
    else { throw wrong }
    (owner, name, self.revision) = (parts[0], parts[1], revision)
    file = parts.count > 2 ? parts[2...].joined(separator: "/") : nil
    if let file, !file.lowercased().hasSuffix(".gguf") { throw wrong }
  }

  var description: String { "hf:\(owner)/\(name)\(file.map { "/" + $0 } ?? "")@\(revision)" }

  /// `OWNER/NAME`.
  var repository: String { "\(owner)/\(name)" }

  /// What the hub lets names be, and nothing that leads out of a folder.
  static func isName(_ text: String) -> Bool {
    let allowed = text.utf8.allSatisfy { byte in
      (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
        || "._-+".utf8.contains(byte)
    }
    return allowed && !text.isEmpty && text.utf8.count <= 200 && text != "." && text != ".."
  }
}
