import Foundation

/// A model in one GGUF file, or in the several that llama.cpp's `gguf-split` cuts it into: each has
/// some of the tensors, the first the metadata too. Their names end with `-00001-of-00003.gguf`.
package struct GGUFParts: Sendable {
  /// In order.
  package let files: [GGUFFile]

  /// Files that a model may be cut into.
  private static let limit = 1000

  /// Maps the file at `url`, and those that belong to it.
  ///
  /// - Parameter url: the first part, or the whole.
  /// - Throws: `FormatError`.
  package init(contentsOf url: URL) throws {
    let first = try GGUFFile(contentsOf: url)
    let count = first.metadata["split.count"]?.intValue ?? 1
    guard count > 1 else {
      files = [first]
      return
    }
    guard first.metadata["split.no"]?.intValue == 0,
      let names = Self.names(from: url.lastPathComponent), names.count == count
    else {
      throw FormatError(
        .malformed, file: first.name,
        reason: "is one of \(count) parts: the first, whose name ends with "
          + "-00001-of-\(Self.digits(count)).gguf, stands for all")
    }
    let folder = url.deletingLastPathComponent()
    files = try [first] + names.enumerated().dropFirst().map { index, name in
      let part = try GGUFFile(contentsOf: folder.appendingPathComponent(name))
      guard part.metadata["split.no"]?.intValue == index,
        part.metadata["split.count"]?.intValue == count
      else {
        throw FormatError(
          .malformed, file: part.name, reason: "is not part \(index + 1) of \(count)")
      }
      return part
    }
    if let total = first.metadata["split.tensors.count"]?.intValue {
      let found = files.reduce(0) { $0 + $1.tensors.count }
      guard found == total else {
        throw FormatError(
          .missing, file: first.name, reason: "its parts have \(found) of \(total) tensors")
      }
    }
  }

  /// A file that is in memory.
  package init(_ file: GGUFFile) { files = [file] }

  /// The names of all parts, where `first` is that of the first of several; nil for any other.
  package static func names(from first: String) -> [String]? {
    guard let match = first.wholeMatch(of: /(.*)-00001-of-(\d{5})\.gguf/),
      let count = Int(match.2), count > 1, count <= limit
    else { return nil }
    return (1...count).map { "\(match.1)-\(digits($0))-of-\(match.2).gguf" }
  }

  private static func digits(_ number: Int) -> String {
    let text = String(number)
    return String(repeating: "0", count: max(0, 5 - text.utf8.count)) + text
  }

  /// The first file as if it held the tensors of all: what a model is described by. The tensors'
  /// bytes are in the files that list them.
  package var whole: GGUFFile {
    files[0].listing(files.flatMap(\.tensors))
  }
}
